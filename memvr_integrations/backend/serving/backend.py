"""The backend: one model in memory, many callers."""

import uuid
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Self, get_args

from transformers import PreTrainedModel

from memvr_integrations.backend.decoding.caches.captured import check_capture, graph_capture
from memvr_integrations.backend.decoding.decoder import DEFAULT_PROBE
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.load_config import Device, Dtype, LoadConfig, Quantization
from memvr_integrations.backend.hosting.loading import LoadedModel, load_model, pick_device
from memvr_integrations.backend.hosting.vision import DEFAULT_CACHE_BYTES, FeatureCache
from memvr_integrations.backend.serving.asking import Asking
from memvr_integrations.backend.serving.backend_report import BackendReport
from memvr_integrations.backend.serving.inbox import AsyncInbox, BlockingInbox
from memvr_integrations.backend.serving.intake import Intake, as_list, check_streams, picture_names
from memvr_integrations.backend.serving.queueing import QueueConfig
from memvr_integrations.backend.serving.scores import Spellings
from memvr_integrations.backend.serving.worker import Worker
from memvr_integrations.checks import check_choice
from memvr_integrations.explain import Explanation
from memvr_integrations.explain.config import ExplainConfig
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.memvr.choosing import ProbeKind
from memvr_integrations.types import Chunk, Completion, Request, Usage
from memvr_integrations.types.engine import Identity
from memvr_integrations.types.image_policy import ImagePolicy


class Backend:
    """Hosts one model and serves any number of threads and tasks.

    One inference thread owns the model. Close the backend, or use it as a context manager, to
    free the memory.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        image_policy: ImagePolicy | None = None,
        queueing: QueueConfig | None = None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        prefix_bytes: int | None = None,
        probe: ProbeKind = DEFAULT_PROBE,
        capture: bool = False,
    ) -> None:
        """Serve a loaded model; `Backend.load` is the usual way in."""
        self._host = Host(loaded, FeatureCache(cache_bytes))
        self._intake = Intake(self._host, image_policy or ImagePolicy())
        if prefix_bytes is None:
            prefix_bytes = DEFAULT_CACHE_BYTES * (loaded.model.device.type == "cpu")
        check_choice("probe", probe, get_args(ProbeKind))
        self._probe = probe
        self._worker = Worker(
            self._host,
            queueing or QueueConfig(),
            prefix_bytes=prefix_bytes,
            probe=probe,
            capture=graph_capture(loaded.model) if capture else None,
        )
        # Wide, because a slow download must not keep others waiting.
        pool = ThreadPoolExecutor(16, thread_name_prefix="memvr-intake")
        self._finalizer = weakref.finalize(self, _shut, self._worker, pool)
        self._asking = Asking(self._worker, self._intake, pool, self._finalizer)
        self._own_key = uuid.uuid4().hex  # of a model that was built in memory

    @classmethod
    def load(
        cls,
        model: str | Path = "bundled",
        *,
        device: Device | str = "auto",
        dtype: Dtype = "auto",
        quantization: Quantization | None = None,
        attention: str | None = None,
        revision: str | None = None,
        memvr: bool | None = True,
        progress: bool = True,
        image_policy: ImagePolicy | None = None,
        queueing: QueueConfig | None = None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        prefix_bytes: int | None = None,
        probe: ProbeKind = DEFAULT_PROBE,
        capture: bool = False,
    ) -> Self:
        """Load a model by catalog name, local directory or hub id, and serve it.

        `device="auto"` takes CUDA, else Apple's MPS, else the CPU; "balanced" spreads a model that
        is too large for one CUDA device over all of them. `dtype="auto"` takes bfloat16 on CUDA
        (float16 on older cards), float16 on MPS, and on a CPU float32 for models below a billion
        weights, else bfloat16. `quantization` needs bitsandbytes. `attention` is an attention
        implementation of transformers ("sdpa", "eager", "flash_attention_2"); None leaves the
        choice to it. `memvr=None` (or False) loads models that MemVR can't attach to as well, to
        be decoded plainly. `progress` shows a bar while weights load. `image_policy` says which
        pictures may come in, `queueing` how many requests are computed together; `cache_bytes`
        bounds the kept image features. `prefix_bytes` bounds the kept keys and values of prompts,
        so that another question about the same picture, or the next turn of a conversation, is
        read from where it differs; None keeps as much on a CPU, and nothing elsewhere, where
        memory is short. `probe` says how layers are probed: "exact" runs the whole head at each,
        "strict" decides as that does and computes less, "reuse" computes least and decides nearly
        always so (docs/how-it-works.md). `capture` replays the steps of answers that go on from a
        graph, on one CUDA device; it never ran on one so far (docs/speed.md).

        Raises:
            ConfigError: An option has no such value, or this machine not what it names.
            ModelNotFoundError: Nothing is called so, or the hub can't be reached.
            ModelLoadError: It is there but could not be loaded.
            UnsupportedModelError: It does not read images and write text, has no chat template, or
                MemVR can't attach to it; with `memvr=None` it decodes plainly then.
        """
        check_choice("probe", probe, get_args(ProbeKind))  # before minutes of loading
        check_choice("capture", capture, (True, False))
        config = LoadConfig(
            device=device,
            dtype=dtype,
            quantization=quantization,
            attention=attention,
            revision=revision,
            memvr=memvr,
            progress=progress,
        )
        if capture:
            check_capture({pick_device(config.device)})
        return cls(
            load_model(model, config),
            image_policy=image_policy,
            queueing=queueing,
            cache_bytes=cache_bytes,
            prefix_bytes=prefix_bytes,
            probe=probe,
            capture=capture,
        )

    @property
    def name(self) -> str:
        """The model's name."""
        return self._host.name

    @property
    def identity(self) -> Identity:
        """Which model it is, in a key: its hub commit or its folder's bytes, and how it was loaded.

        A model that was built or changed in memory, or whose files were changed before the key was
        asked for, has a key for this backend alone. The first time reads a folder's files, some
        seconds for gigabytes.
        """
        origin = self._host.origin
        key = origin.key() if origin else None
        if key and self._probe != DEFAULT_PROBE:
            key += f"-{self._probe}"
        return Identity(name=self.name, key=key or self._own_key, durable=key is not None)

    @property
    def abstention(self) -> float | None:
        """The unsureness above which its answers are better withheld; None where none was measured.

        From 0 to 1, as `Completion.unsureness`.
        """
        return self._host.abstention

    @property
    def model(self) -> PreTrainedModel:
        """The model itself, for what goes onto its modules, as `blindfolded` does.

        It belongs to the inference thread: don't run it while requests are computed.
        """
        return self._host.model

    @property
    def preset(self) -> MemVRConfig:
        """What `memvr=True` means for this model."""
        return self._host.preset

    @property
    def calibrated(self) -> bool:
        """Whether the preset was measured on this model, not only moved to its depth."""
        return self._host.calibrated

    @property
    def layers(self) -> int:
        """How many layers the decoder has."""
        return self._host.layers

    @property
    def context(self) -> int:
        """How many tokens the model reads, prompt and answer together."""
        return self._host.context

    @property
    def image_policy(self) -> ImagePolicy:
        """Which pictures may come in, where a request doesn't say."""
        return self._intake.images

    @property
    def closed(self) -> bool:
        """Whether it can't answer any more: closed, or left in the parent by a fork."""
        return self._asking.closed

    @property
    def steps(self) -> int:
        """How many steps were computed so far: in each, every running answer gets a token."""
        return self._worker.steps

    @property
    def busy(self) -> bool:
        """Whether something is waiting or being computed; false means the model is untouched."""
        return self._worker.busy

    @property
    def images_encoded(self) -> int:
        """How many pictures went through the vision tower so far; a cached one doesn't."""
        return self._host.vision.encoded if self._host.vision is not None else 0

    def report(self) -> BackendReport:
        """What was computed so far, and how."""
        decoder = self._worker.decoder
        capturing = decoder.capturing
        return BackendReport(
            steps=self.steps,
            images_encoded=self.images_encoded,
            prefix_hits=decoder.prefixes.hits,
            prefix_tokens=decoder.prefixes.tokens,
            joins=decoder.joinable,
            probe=decoder.chosen,
            captures=capturing is not None and capturing.works,
            replayed=0 if capturing is None else capturing.replayed,
        )

    def generate(self, requests: Request | Sequence[Request]) -> list[Completion]:
        """Answer all requests, together where they fit; the first failure is raised.

        Raises:
            RequestError: A request can't be answered as it stands.
            ImageError: An image can't be used.
            RequestTimeoutError: A request's `timeout` passed.
            QueueFullError: Too many requests wait already.
            BackendClosedError: The backend was closed.
        """
        return self._asking.generate([BlockingInbox(request) for request in as_list(requests)])

    def stream(self, request: Request) -> Generator[Chunk, None, None]:
        """The answer's chunks as they come; closing the generator stops the computing.

        Raises:
            MemVRError: As `generate` does, when the first chunk is asked for or later.
        """
        check_streams(request)
        yield from self._asking.chunks(BlockingInbox(request, pieces=True))

    async def agenerate(self, requests: Request | Sequence[Request]) -> list[Completion]:
        """`generate` for asyncio; cancelling the task stops the computing."""
        return await self._asking.agenerate([AsyncInbox(request) for request in as_list(requests)])

    async def astream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """`stream` for asyncio; closing the generator or cancelling the task stops computing."""
        check_streams(request)
        async with aclosing(self._asking.achunks(AsyncInbox(request, pieces=True))) as chunks:
            async for chunk in chunks:
                yield chunk

    def score(
        self, request: Request, answers: Sequence[str], *, exclusive: bool = True
    ) -> list[float]:
        """How likely the model is to begin its answer with each text: natural logarithms.

        What goes on to a longer one of the `answers` is that one's alone: beside "Yes, there is",
        "Yes" counts where anything else follows it (-inf where nothing does). So their shares are
        the softmax. With `exclusive=False` each counts as if it were the only one. Nothing is
        sampled, and the request's `sampling` changes nothing; MemVR acts as it would in an answer.

        Raises:
            RequestError: There is no answer, one has no tokens, or two that exclude each other
                have the same ones.
            ContextLengthError: An answer does not fit into the model's context.
            MemVRError: As `generate` does.
        """
        self._asking.check_open()
        request = self._intake.opened(request)
        spellings, asked = self._dictations(request, answers, exclusive)
        return spellings.scores(self._asking.generate([BlockingInbox(*one) for one in asked]))

    async def ascore(
        self, request: Request, answers: Sequence[str], *, exclusive: bool = True
    ) -> list[float]:
        """`score` for asyncio; cancelling the task stops the computing."""
        if request.images:
            opening = self._asking.in_pool(request, request.timeout, self._intake.opened, request)
            request = await opening
        spellings, asked = self._dictations(request, answers, exclusive)
        return spellings.scores(await self._asking.agenerate([AsyncInbox(*one) for one in asked]))

    def explain(
        self,
        request: Request,
        completion: Completion | None = None,
        *,
        config: ExplainConfig | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Explanation:
        """Show where in the request's images its answer came from, word by word.

        `completion` is an answer that this backend gave to the request; without it the request is
        answered first. The work is done in slices between the steps of other answers. `progress`
        is called with the share that is done, from the inference thread.

        Raises:
            ConfigError: The request has no image, or a token that is named is not in the answer.
            RequestError: The answer was given by another model, or to another prompt.
            UnsupportedModelError: The method can't be used on this model.
            MemVRError: As `generate` does.
        """
        names = picture_names(request)
        if completion is None:
            request = self._intake.opened(request)
            [completion] = self.generate(request)
        return self._asking.explain(
            BlockingInbox(request), completion, config or ExplainConfig(), names, progress
        )

    async def aexplain(
        self,
        request: Request,
        completion: Completion | None = None,
        *,
        config: ExplainConfig | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Explanation:
        """`explain` for asyncio; cancelling the task stops the computing."""
        names = picture_names(request)
        if completion is None:
            if request.images:
                opened = self._intake.opened
                request = await self._asking.in_pool(request, request.timeout, opened, request)
            [completion] = await self.agenerate(request)
        return await self._asking.aexplain(
            AsyncInbox(request), completion, config or ExplainConfig(), names, progress
        )

    def count(self, request: Request) -> Usage:
        """How many tokens the request's prompt has, images included; nothing is computed.

        It may have more than the model can read: that is often why one counts.

        Raises:
            RequestError: The prompt can't be written.
            ImageError: An image can't be used.
        """
        self._asking.check_open()
        job = self._intake.checked(BlockingInbox(request))
        prompt = self._host.prompts.write(request, job.pictures)
        return Usage(
            prompt_tokens=prompt.length, image_tokens=prompt.image_tokens, completion_tokens=0
        )

    def tokenize(self, text: str) -> list[int]:
        """The model's tokens of a text, without special ones."""
        self._asking.check_open()
        ids: list[int] = self._host.tokenizer(text, add_special_tokens=False).input_ids
        return ids

    def forget(self) -> None:
        """Forget the prompts that were kept, so that the next ones are read whole."""
        self._worker.forget()

    def close(self) -> None:
        """Stop after the current token and let the model go; closing twice does no harm."""
        if self._finalizer() is not None:
            self._host.release()

    def __enter__(self) -> Self:
        """The backend itself."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Close the backend."""
        self.close()

    def _dictations(
        self, request: Request, answers: Sequence[str], exclusive: bool
    ) -> tuple[Spellings, list[tuple[Request, tuple[int, ...]]]]:
        """The ways to write the answers, and for each that is computed a request and its tokens."""
        self._asking.check_open()
        spellings = Spellings(answers, self._host.spellings, exclusive=exclusive)
        return spellings, spellings.requests(request)


def _shut(worker: Worker, intake: ThreadPoolExecutor) -> bool:
    intake.shutdown(wait=False, cancel_futures=True)
    worker.close()
    return True

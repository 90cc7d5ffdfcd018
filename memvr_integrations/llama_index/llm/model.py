"""`MemVRMultiModalLLM`: LlamaIndex's multimodal LLM over the shared backend."""

import math
from collections.abc import Sequence

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import loading
from llama_index.core.multi_modal_llms import MultiModalLLM

from memvr_integrations.errors import RequestError
from memvr_integrations.llama_index.llm.blocks import ImageDocument
from memvr_integrations.llama_index.llm.messages import question, to_messages
from memvr_integrations.llama_index.llm.structured import StructuredLLM
from memvr_integrations.types import Usage


class MemVRMultiModalLLM(StructuredLLM, MultiModalLLM):  # type: ignore[misc]  # their metadata differ
    """A local vision LLM that looks at the image again where it is unsure.

    Making one costs nothing: the weights come into memory at the first call, once for all
    objects of LlamaIndex and LangChain that ask for the same model, and leave it with the last
    of them or with `unload()`.

    `model` is a catalog name, a folder or a hub id. `memvr=True` takes the model's preset, a
    `MemVRConfig` sets it, None decodes plainly. `decoding` is a strategy beside it, such as "vcd"
    or `VCDConfig(...)`. `temperature=0`, the default, is greedy. Pictures come as `ImageBlock`s of
    messages or as `image_documents=`. `allow_image_urls` is False, True (any public host) or the
    hosts from which pictures may be downloaded; `image_dirs` are the folders below which `file://`
    URLs may point. `engine` takes a backend of your own instead of `model`.

    Every answer says in `additional_kwargs["memvr"]` how unsure the model was and where it looked
    again, for each token too.
    """

    @classmethod
    def class_name(cls) -> str:
        """Its name in what is written to disk; with "multi" in it, for core looks for that."""
        return "memvr_multi_modal_llm"

    def count_tokens(
        self, messages: Sequence[ChatMessage], image_documents: Sequence[ImageDocument] = ()
    ) -> Usage:
        """Exact tokens of a prompt, its images included; nothing is computed."""
        asked = to_messages(messages, image_documents)
        return self._engine().count(self._request(asked, {}))

    def probability(
        self,
        prompt: str,
        image_documents: Sequence[ImageDocument] = (),
        answers: Sequence[str] = ("Yes", "No"),
    ) -> float:
        """The model's own probability of the first answer among some: P(yes), unless told others.

        Raises:
            RequestError: `answers` are not two or more different texts.
            MemVRError: As `Backend.score` does.
        """
        _check_answers(answers)
        request = self._request(question(prompt, image_documents), {})
        return _share(self._engine().score(request, answers))

    async def aprobability(
        self,
        prompt: str,
        image_documents: Sequence[ImageDocument] = (),
        answers: Sequence[str] = ("Yes", "No"),
    ) -> float:
        """`probability` for asyncio; concurrent calls share batches."""
        _check_answers(answers)
        request = self._request(question(prompt, image_documents), {})
        return _share(await (await self._aengine()).ascore(request, answers))

    def unload(self) -> None:
        """Give the model back; when nobody else uses it, its memory is freed."""
        self._leases.release()


def _check_answers(answers: Sequence[str]) -> None:
    texts = [] if isinstance(answers, str) else list(answers)
    named = all(isinstance(text, str) and text.strip() for text in texts)
    if not named or len(set(texts)) < max(2, len(texts)):
        raise RequestError(
            f"answers={answers!r} must be two or more different texts, as ('Yes', 'No'): a "
            "probability is shared out among them."
        )


def _share(logs: Sequence[float]) -> float:
    most = max(logs)
    weights = [math.exp(log - most) for log in logs]
    return weights[0] / sum(weights)


loading.RECOGNIZED_LLMS[MemVRMultiModalLLM.class_name()] = MemVRMultiModalLLM

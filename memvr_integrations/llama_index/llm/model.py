"""`MemVRMultiModalLLM`: LlamaIndex's multimodal LLM over the shared backend."""

from collections.abc import Sequence

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import loading
from llama_index.core.multi_modal_llms import MultiModalLLM

from memvr_integrations.grounding.choice import YES_NO, ashares, shares
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
        answers: Sequence[str] = YES_NO,
    ) -> float:
        """The model's own probability of the first of some answers: P(yes) by default.

        Raises:
            RequestError: `answers` are not two or more different texts.
            MemVRError: As `Backend.score` does.
        """
        request = self._request(question(prompt, image_documents), {})
        return shares(self._engine(), request, answers)[0]

    async def aprobability(
        self,
        prompt: str,
        image_documents: Sequence[ImageDocument] = (),
        answers: Sequence[str] = YES_NO,
    ) -> float:
        """`probability` for asyncio; concurrent calls share batches."""
        request = self._request(question(prompt, image_documents), {})
        return (await ashares(await self._aengine(), request, answers))[0]

    def unload(self) -> None:
        """Give the model back; when nobody else uses it, its memory is freed."""
        self._leases.release()


loading.RECOGNIZED_LLMS[MemVRMultiModalLLM.class_name()] = MemVRMultiModalLLM

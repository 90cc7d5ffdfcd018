"""A tool by which an agent asks about pictures, and learns where the answer came from."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from llama_index.core.base.llms.types import ChatMessage, TextBlock
from llama_index.core.tools import FunctionTool

from memvr_integrations.checks import check_kind
from memvr_integrations.grounding.named_pictures import TOOL_NAME, NamedPictures
from memvr_integrations.llama_index.llm.base import AnsweringLLM
from memvr_integrations.llama_index.llm.blocks import image_block

if TYPE_CHECKING:
    from memvr_integrations.backend.images import ImageSource
    from memvr_integrations.explain import ExplainConfig, Explanation


def picture_tool(
    llm: AnsweringLLM,
    images: "Mapping[str, ImageSource]",
    *,
    name: str = TOOL_NAME,
    description: str | None = None,
    config: "ExplainConfig | None" = None,
) -> FunctionTool:
    """A tool for any agent: it asks `llm` about a picture, and says where the answer came from.

    The agent calls it with `picture`, one of the names in `images`, and `question`. The pictures
    are what `image_block` takes, and are read at each call. The output's content is
    `Explanation.to_text()`, its `raw_output` the `Explanation`. What a call costs, and how to make
    it cheaper, is said at LangChain's `picture_tool`.

    Raises:
        ConfigError: There is no picture.
    """
    pictures = NamedPictures(images=dict(images) if isinstance(images, Mapping) else images)
    check_kind("llm", llm, AnsweringLLM, "a MemVRMultiModalLLM")

    def asked(picture: str, question: str) -> list[ChatMessage]:
        shown = image_block(pictures.source(picture))
        return [ChatMessage(role="user", blocks=[shown, TextBlock(text=question)])]

    def ask(picture: str, question: str) -> "Explanation":
        explanation = llm.explain(asked(picture, question), config=config)
        return pictures.called(explanation, picture)

    async def aask(picture: str, question: str) -> "Explanation":
        explanation = await llm.aexplain(asked(picture, question), config=config)
        return pictures.called(explanation, picture)

    return FunctionTool.from_defaults(
        ask,
        async_fn=aask,
        name=name,
        description=description or pictures.description,
        fn_schema=pictures.arguments,
        callback=lambda explanation: explanation.to_text(),
    )

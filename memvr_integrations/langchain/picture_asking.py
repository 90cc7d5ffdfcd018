"""A tool by which an agent asks about pictures, and learns where the answer came from."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from langchain_core.messages import HumanMessage
from langchain_core.tools import StructuredTool, ToolException
from pydantic import ValidationError

from memvr_integrations.checks import check_choice, check_kind
from memvr_integrations.errors import (
    ConfigError,
    ImageError,
    QueueFullError,
    RequestError,
    RequestTimeoutError,
)
from memvr_integrations.grounding.named_pictures import TOOL_NAME, NamedPictures
from memvr_integrations.langchain.blocks import image_block
from memvr_integrations.langchain.chat import BoundMemVR, ChatMemVR
from memvr_integrations.langchain.failures import langchain_errors

if TYPE_CHECKING:
    from memvr_integrations.backend.images import ImageSource
    from memvr_integrations.explain import ExplainConfig, Explanation

Artifact: TypeAlias = Literal["plain", "explanation"]

# What another call, or the same one later, may do better; all else is for the program.
_FOR_THE_AGENT = (ConfigError, ImageError, QueueFullError, RequestError, RequestTimeoutError)


def picture_tool(
    model: ChatMemVR | BoundMemVR,
    images: "Mapping[str, ImageSource]",
    *,
    name: str = TOOL_NAME,
    description: str | None = None,
    artifact: Artifact = "plain",
    config: "ExplainConfig | None" = None,
) -> StructuredTool:
    """A tool for any agent: it asks `model` about a picture, and says where the answer came from.

    The agent calls it with `picture`, one of the names in `images`, and `question`. The pictures
    are what `image_block` takes, and are read at each call. The message's content is
    `Explanation.to_text()`. Its artifact, which the agent's model never sees, is
    `Explanation.to_dict()` with the page under "html"; with `artifact="explanation"` it is the
    `Explanation` itself, which LangGraph's checkpointers can't keep.

    A call costs the answer, then a forward and a backward pass a word with content, twice with
    MemVR, and up to 65 readings for the second method; `config=ExplainConfig(second=False,
    compare=False)` leaves out all but the first passes, and with them the agreement.

    A call that can't be answered (an unknown name, a picture that can't be read, a time-out) gives
    the agent the error's text. Errors that no call can help, as of a closed backend, are raised.

    Raises:
        ConfigError: There is no picture, or an option can't be used.
    """
    with langchain_errors():
        pictures = NamedPictures(images=dict(images) if isinstance(images, Mapping) else images)
        check_choice("artifact", artifact, get_args(Artifact))
        check_kind("model", model, ChatMemVR | BoundMemVR, "a ChatMemVR, or what its bind() gives")

    def asked(picture: str, question: str) -> list[HumanMessage]:
        return [HumanMessage([dict(image_block(pictures.source(picture))), question])]

    def given(picture: str, explanation: "Explanation") -> tuple[str, object]:
        made = pictures.called(explanation, picture)
        plain = artifact == "plain"
        return made.to_text(), made.to_dict() | {"html": made.to_html()} if plain else made

    def ask(picture: str, question: str) -> tuple[str, object]:
        with _for_the_agent():
            return given(picture, model.explain(asked(picture, question), config=config))

    async def aask(picture: str, question: str) -> tuple[str, object]:
        with _for_the_agent():
            return given(picture, await model.aexplain(asked(picture, question), config=config))

    return StructuredTool.from_function(
        ask,
        aask,
        name=name,
        description=description or pictures.description,
        args_schema=pictures.arguments,
        response_format="content_and_artifact",
        handle_tool_error=True,
        handle_validation_error=_misused,
    )


@contextmanager
def _for_the_agent() -> Iterator[None]:
    try:
        yield
    except _FOR_THE_AGENT as error:
        raise ToolException(str(error)) from error


def _misused(error: ValueError) -> str:
    assert isinstance(error, ValidationError)  # of our own class of arguments
    wrong = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return f"Call it with a picture's name and a question. {'; '.join(wrong)}."

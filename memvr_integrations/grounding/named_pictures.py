"""Pictures that an agent may ask about by name: a model can't paste a picture into a call."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field, create_model

from memvr_integrations.checks import check_kind, check_text
from memvr_integrations.errors import ConfigError, RequestError, did_you_mean

if TYPE_CHECKING:
    from memvr_integrations.backend.images import ImageSource
    from memvr_integrations.explain import Explanation

TOOL_NAME = "ask_picture"
_DESCRIPTION = (
    "Asks a vision model about one picture. Gives its answer, where in the picture it came from "
    "(in pixels), and how unsure the model was. Pictures: {}."
)


@dataclass(frozen=True, kw_only=True)
class NamedPictures:
    """The pictures of a tool, by the names that a model calls them.

    Raises:
        ConfigError: There is none, or a name is no text.
    """

    images: Mapping[str, "ImageSource"]

    def __post_init__(self) -> None:
        check_kind("images", self.images, Mapping, 'a dict such as {"kitchen": "kitchen.png"}')
        if not self.images:
            raise ConfigError('images is empty; name a picture: {"kitchen": "kitchen.png"}.')
        for name in self.images:
            check_text("a picture's name", name)

    @property
    def description(self) -> str:
        """What a tool over these pictures does, in words for the model that may call it."""
        return _DESCRIPTION.format(", ".join(self.images))

    @property
    def arguments(self) -> type[BaseModel]:
        """What such a tool is called with: `picture`, one of the names, and `question`."""
        named = Field(description="Which picture.", json_schema_extra={"enum": list(self.images)})
        asked = Field(description="One question about it, in a short sentence.")
        return create_model("AskPicture", picture=(str, named), question=(str, asked))

    def source(self, name: str) -> "ImageSource":
        """The picture of a name.

        Raises:
            RequestError: No picture is called so; the message lists those that there are.
        """
        if name not in self.images:
            raise RequestError(
                f"There is no picture {name!r}.{did_you_mean(name, self.images)} Ask about one of: "
                f"{', '.join(self.images)}."
            )
        return self.images[name]

    def called(self, explanation: "Explanation", name: str) -> "Explanation":
        """An explanation of an answer about one picture, under the name that it has here."""
        return replace(explanation, names=(name,))

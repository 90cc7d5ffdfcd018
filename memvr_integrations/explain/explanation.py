"""An explanation: an answer with its maps, and the ways to look at it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from memvr_integrations.explain.mapped import MappedAnswer, State
from memvr_integrations.explain.page.html import framed, page
from memvr_integrations.explain.page.picture import overlaid
from memvr_integrations.explain.page.plain import as_dict
from memvr_integrations.explain.page.terminal import blocks
from memvr_integrations.explain.page.text import sentences


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Explanation(MappedAnswer):
    """Where an answer came from, word by word: numbers, a page, a picture.

    Its fields are those of `MappedAnswer`.
    """

    def __repr__(self) -> str:
        """In a line; `to_text` has it in sentences."""
        names = ", ".join(self.names)
        return f"Explanation({self.answer.strip()!r} of {self.model} on {names}, by {self.method})"

    def to_html(self) -> str:
        """One page that needs no network: choose a word, and its map lies over the pictures."""
        return page(self)

    def _repr_html_(self) -> str:
        """The page in a frame of its own, for notebooks."""
        return framed(page(self))

    def save_png(
        self,
        path: str | Path,
        image: int = 0,
        tokens: Sequence[int] | None = None,
        *,
        state: State | None = None,
    ) -> None:
        """Save a picture with its map over it, and the box that it points at, if there is one.

        Raises:
            ConfigError: As `map` does.
        """
        overlaid(self, image, tokens, state).save(path, format="PNG")

    def to_dict(self) -> dict[str, object]:
        """Everything but the pictures' pixels, as plain values that JSON can hold."""
        return as_dict(self)

    def to_text(self) -> str:
        """The answer in words, where in each picture it came from, and how unsure the model was."""
        return sentences(self)

    def to_terminal(self, *, width: int = 60, colour: bool = True) -> str:
        """The answer's map as coloured blocks, at most `width` characters wide, and its words."""
        return blocks(self, width=width, colour=colour)

"""What every interview needs: who is there, how to ask, the same asked in several ways."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from bundled_model.conversations import truths
from bundled_model.conversations.questions import Turn, absent
from bundled_model.conversations.vocabulary import is_or_are
from bundled_model.conversations.wordings.phrasings import phrase_question
from memvr_integrations.bundled.world import COLORS, Scene, Thing
from memvr_integrations.evaluate.benchmarks.scene_questions import SHORT

_SHORTS = (SHORT, SHORT, SHORT, " Yes or no?", " Just yes or no.", " Answer with yes or no.")


@dataclass(frozen=True, kw_only=True)
class Talk:
    """Turns of one conversation about `pictures` pictures (0: none is shown).

    Talks of the same `same_as` in one row ask for the same yes or no; 0 stands for no such. What a
    `system` message says comes before all. The picture is shown with turn `shown_at`, as where a
    tool gives it.
    """

    turns: tuple[Turn, ...]
    pictures: int = 1
    same_as: int = 0
    system: str = ""
    shown_at: int = 0

    def __post_init__(self) -> None:
        if self.apart and self.pictures > 1:
            raise ValueError(
                f"A talk about pictures={self.pictures} has a system message or shows them in turn "
                f"shown_at={self.shown_at}; only one picture can be put there."
            )

    @property
    def apart(self) -> bool:
        """Whether it doesn't begin with the picture that a row of talks shares."""
        return self.pictures == 0 or bool(self.system) or self.shown_at > 0


class Asker:
    """Asks about one scene."""

    def __init__(self, scene: Scene, rng: random.Random, themes: Sequence[str]) -> None:
        self.scene, self.rng, self.themes = scene, rng, themes
        self.singles = [thing for thing in scene.things if thing.count == 1]
        self.painted = [thing for thing in scene.things if thing.color]
        self._groups = 0

    def alike(
        self, kind: str, shorts: Sequence[bool], yes: bool, answer: str, slots: dict[str, str]
    ) -> list[Talk]:
        """The same yes or no in several wordings, some to be answered in a word."""
        self._groups += 1
        talks = []
        for short in shorts:
            question = self.ask(kind, **slots)
            said = answer
            if short:
                question += self.rng.choice(_SHORTS)
                said = "Yes" if yes else "No"
            talks.append(Talk(turns=(Turn(question, said),), same_as=self._groups))
        return talks

    def ask(self, kind: str, **slots: str) -> str:
        """A question of a kind in some of its wordings."""
        return phrase_question(kind, self.rng, **slots)

    def there(self) -> Thing:
        """Something that is there."""
        return self.rng.choice(self.scene.things)

    def missing(self) -> str:
        """A class that is not there."""
        return absent(self.scene, self.rng, self.themes)

    def other_color(self, color: str | None) -> str:
        """Any colour but this one."""
        return self.rng.choice([other for other in COLORS if other != color])


def one_turn(question: str, answer: str) -> Talk:
    """A conversation of one question and its answer."""
    return Talk(turns=(Turn(question, answer),))


def the(thing: Thing) -> dict[str, str]:
    """The slots of a thing that is known: "the cups", "are"."""
    return {"the": f"the {truths.noun(thing)}", "is_": truths.verb(thing)}


def the_one(name: str) -> dict[str, str]:
    """The slots of a single thing, there or not: "the scissors", "are"."""
    return {"the": f"the {name}", "is_": is_or_are(name)}


def boxes(thing: Thing) -> str:
    """The boxes of all pieces, left to right."""
    return " ".join(truths.box_text(box) for box in thing.boxes)

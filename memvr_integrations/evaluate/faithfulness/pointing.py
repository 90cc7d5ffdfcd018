"""Questions about things in drawn scenes, answered and explained by every method."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray

from memvr_integrations.backend.decoding.caches.masks import StepMasks
from memvr_integrations.backend.decoding.explained import AnswerReader
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.prompts.writer import Picture
from memvr_integrations.bundled import KNOWN_THEMES
from memvr_integrations.bundled.world.scenes import SPRITES, Scene, Sprites, Thing, draw_scene
from memvr_integrations.bundled.world.words import with_article
from memvr_integrations.evaluate.faithfulness.measures import Box
from memvr_integrations.explain.mapped import ExplainMethod
from memvr_integrations.explain.methods import METHODS
from memvr_integrations.explain.methods.method import Found
from memvr_integrations.explain.reading import Target
from memvr_integrations.types import Request

Values = NDArray[np.float32]
"""(tokens,), what each visual token has."""

METHODS_COMPARED: tuple[ExplainMethod, ...] = (
    "attention_gradient",
    "occlusion",
    "route",
    "logit_lens",
)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A scene, and a thing that is in it."""

    scene: Scene
    thing: Thing

    @property
    def picture(self) -> PIL.Image.Image:
        """The drawing."""
        return PIL.Image.fromarray(self.scene.pixels)

    @property
    def boxes(self) -> list[Box]:
        """Where the thing is, in the drawing's pixels."""
        height, width = self.scene.pixels.shape[:2]
        return [
            (left * width, top * height, right * width, bottom * height)
            for left, top, right, bottom in self.thing.boxes
        ]


def shown_things(seed: int) -> Iterator[Shown]:
    """Scenes without an end, each with one of its things."""
    rng, sprites = random.Random(seed), Sprites(SPRITES)
    while True:
        scene = draw_scene(rng, sprites, [rng.choice(KNOWN_THEMES)])
        yield Shown(scene=scene, thing=rng.choice(scene.things))


class Asker:
    """Asks one model whether things are there, and explains why it says that they are."""

    def __init__(self, host: Host) -> None:
        self._host, self._masks = host, StepMasks(host.model)
        self.target = self._likelier()

    def _likelier(self) -> Target:
        """That the answer begins with yes and not with no, as this model spells them."""
        targets = [
            Target(place=0, token=yes, rival=no)
            for yes, no in (
                [self._host.prompts.tokens(blank + word)[0] for word in ("Yes", "No")]
                for blank in ("", " ")
            )
        ]
        shown = next(shown_things(0))
        with torch.no_grad():
            reader = self._reader(shown.picture, shown.thing.name, targets[0].token)
            chances = reader.logits([reader.visual])[0, 0].softmax(-1)
        return max(targets, key=lambda one: float(chances[[one.token, one.rival or 0]].sum()))

    def reader(self, picture: PIL.Image.Image, thing: str) -> AnswerReader:
        """The question whether a thing is in a picture, with the answer yes."""
        return self._reader(picture, thing, self.target.token)

    def _reader(self, picture: PIL.Image.Image, thing: str, answer: int) -> AnswerReader:
        question = f"Is there {with_article(thing)} in the picture?"
        request = Request.ask(question, picture)
        pictures = [Picture(image=picture, hash=str(hash(picture.tobytes())))]
        prompt = self._host.prompts.fitted(request, pictures)
        return AnswerReader(self._host, self._masks, prompt, pictures, [answer])

    def sees(self, reader: AnswerReader) -> bool:
        """Whether the model says yes rather than no."""
        with torch.no_grad():
            return float(self.target.score(reader.logits([reader.visual]))[0]) > 0

    def values(self, reader: AnswerReader, method: ExplainMethod, thing: str) -> Values:
        """A method's map of the answer, with MemVR off, a number a visual token."""
        target = self.target
        if method == "logit_lens":  # which asks what a patch is: the thing, and not "Yes"
            target = Target(place=0, token=self._host.prompts.tokens(f" {thing}")[0])
        found = Found()
        slices: list[Callable[[], None]] = METHODS[method](reader, [target], None, found)
        for work in slices:
            work()
        return found.values[0].numpy()

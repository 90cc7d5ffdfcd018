"""A benchmark from images without labels: what is there, a model has to agree on with itself.

For every image the model describes it, and is then asked about the things that it named and about
as many that it did not. It is asked about changed copies of the image (mirrored, cropped, paler)
and in other words than the benchmark's. Where all these votes agree, they are the label; where they
don't, nothing is asked. The benchmark's own questions, about the image as it is, had no vote.

What a model invents in every copy and in all words is labelled as there. So these labels say what
makes a model consistent, not what makes it right; labels by people are better wherever there are
any.
"""

import hashlib
import random
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import PIL.Image
import PIL.ImageEnhance
import PIL.ImageOps
from tqdm import tqdm

from memvr_integrations import __version__
from memvr_integrations.backend.images import load_image
from memvr_integrations.bundled.world.words import with_article
from memvr_integrations.errors import BenchmarkError, ConfigError, MemVRWarning
from memvr_integrations.evaluate.benchmarks.benchmark import Question
from memvr_integrations.evaluate.benchmarks.catalog import SELF
from memvr_integrations.evaluate.benchmarks.presence import Presence
from memvr_integrations.evaluate.benchmarks.scene_questions import CAPTION, SHORT
from memvr_integrations.evaluate.benchmarks.scoring.coco_words import GROUPS, PHRASES
from memvr_integrations.evaluate.benchmarks.scoring.yes_no import yes_or_no
from memvr_integrations.evaluate.running.asking import Asking, Strategy
from memvr_integrations.evaluate.running.runs import ANSWERS, Run
from memvr_integrations.evaluate.running.ways import PLAIN
from memvr_integrations.grounding.nouns import forms, named
from memvr_integrations.types.engine import Engine

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_ASKED = "Is there {} in the image?"
_VOTES = ("Is there {} here?", "Can you see {}?")
_FEWEST = 4

View = Callable[[PIL.Image.Image], PIL.Image.Image]


def _cropped(image: PIL.Image.Image) -> PIL.Image.Image:
    width, height = image.size
    left, top = width // 20, height // 20
    return image.crop((left, top, width - left, height - top))


VIEWS: dict[str, View] = {
    "mirrored": PIL.ImageOps.mirror,
    "cropped": _cropped,
    "paler": lambda image: PIL.ImageEnhance.Contrast(image).enhance(0.7),
}


@dataclass(frozen=True, kw_only=True)
class Things:
    """What may be asked about: names, and the words that mean them in a caption."""

    names: tuple[str, ...]
    phrases: Mapping[str, str | None]

    @classmethod
    def of(cls, given: str) -> Self:
        """From "coco", its 80 categories and their synonyms, or from nouns with commas between.

        Raises:
            ConfigError: These are fewer than four, or hold more than letters.
        """
        if given.strip().lower() == "coco":
            return cls(names=tuple(GROUPS), phrases=PHRASES)
        names = tuple(dict.fromkeys(" ".join(name.lower().split()) for name in given.split(",")))
        names = tuple(name for name in names if name)
        wrong = [name for name in names if not re.fullmatch(r"[a-z]+( [a-z]+)*", name)]
        if wrong or len(names) < _FEWEST:
            what = f"{wrong[0]!r} is no noun" if wrong else f"{len(names)} are too few"
            raise ConfigError(
                f"things={given!r}: {what}; name {_FEWEST} or more nouns with commas between, or "
                "'coco'."
            )
        return cls(names=names, phrases=dict(forms(names)))


@dataclass(frozen=True, kw_only=True)
class SelfLabelled(Presence):
    """POPE's questions and CHAIR's captions, with a model's own labels.

    `labels` says for each image what its votes agreed on. A caption's mentions of other things
    count neither as right nor as wrong.
    """

    labels: Mapping[str, Mapping[str, bool]]
    things: Things
    all_splits: ClassVar[tuple[str, ...]] = ("yes-no",)

    def mentioned(self, question: Question, caption: str) -> Iterator[str]:
        """The things that have a label."""
        labels = self.labels[question.group]
        return (one for one in named(caption, self.things.phrases) if one in labels)


class Labelling:
    """The asking for labels; what was asked is kept in a folder, so that it goes on."""

    def __init__(
        self,
        engine: Engine,
        images: Sequence[Path],
        things: Things,
        folder: Path,
        *,
        batch: int = 8,
        progress: bool = True,
    ) -> None:
        """Label images whose files' names differ; what is asked is kept in `folder`.

        Raises:
            ConfigError: `folder` holds other labels.
        """
        self._images, self._things = images, things
        self._run = Run(
            folder,
            {
                "labels by": engine.name,
                "images": [image.name for image in self._images],
                "things": list(things.names),
                "version": __version__,
            },
            ways={PLAIN: Strategy(name=PLAIN).to_dict()},
        )
        self._asking = Asking(engine, self._run, batch=batch, progress=False)
        self._batch, self._silent = batch, not progress

    def benchmark(self) -> SelfLabelled:
        """Ask for what was not asked yet, and make a benchmark of what the votes agree on.

        Raises:
            BenchmarkError: They agree on nothing.
        """
        with self._run.alone():
            captions = self._captions()
            candidates = self._candidates(captions)
            for image in tqdm(captions, desc="Labelling", disable=self._silent):
                self._vote(image, candidates[image])
            texts = self._run.texts(PLAIN, 0)
            labels = {image.name: _agreed(image, candidates[image], texts) for image in captions}
        labels = {image: found for image, found in labels.items() if found}
        if not labels:
            raise BenchmarkError(
                f"The model's answers about changed copies of the {len(self._images)} images agree "
                "on nothing; take labelled images, or another model."
            )
        truths = {
            f"{image}/{thing}": label
            for image, found in labels.items()
            for thing, label in found.items()
        }
        return SelfLabelled(
            name=SELF,
            questions=tuple(
                question
                for image in captions
                if image.name in labels
                for question in _questions(image, labels[image.name])
            ),
            truths=truths,
            splits=dict.fromkeys(truths, SelfLabelled.all_splits),
            there={
                f"{image}/caption": frozenset(thing for thing, label in found.items() if label)
                for image, found in labels.items()
            },
            labels=labels,
            things=self._things,
        )

    def _captions(self) -> dict[Path, list[str]]:
        """The things that the model names in each image."""
        asked = [
            Question(id=f"{one.name}/caption", text=CAPTION, images=(one,), group=one.name)
            for one in self._images
        ]
        with tqdm(total=len(asked), desc="Describing", disable=self._silent) as bar:
            for start in range(0, len(asked), self._batch):
                batch = asked[start : start + self._batch]
                self._ask(batch)
                bar.update(len(batch))
        texts = self._run.texts(PLAIN, 0)
        failed = [one.group for one in asked if one.id not in texts]
        if failed:
            warnings.warn(
                f"{len(failed)} of {len(asked)} images could not be described, the first is "
                f"{failed[0]!r}; {self._run.folder / ANSWERS} says why. They get no labels.",
                MemVRWarning,
                stacklevel=3,
            )
        return {
            image: list(dict.fromkeys(named(texts[one.id], self._things.phrases)))
            for image, one in zip(self._images, asked, strict=True)
            if one.id in texts
        }

    def _candidates(self, captions: Mapping[Path, Sequence[str]]) -> dict[Path, list[str]]:
        """What the model names, and as many others: often named elsewhere, or at random."""
        often = Counter(one for named_there in captions.values() for one in named_there)
        candidates: dict[Path, list[str]] = {}
        for image, mine in captions.items():
            others = [one for one in self._things.names if one not in mine]
            wanted = max(2, len(mine))
            popular = sorted(others, key=lambda one: -often[one])[: (wanted + 1) // 2]
            left = [one for one in others if one not in popular]
            chosen = random.Random(image.name).sample(left, min(wanted // 2, len(left)))
            candidates[image] = [*mine, *popular, *chosen]
        return candidates

    def _vote(self, image: Path, things: Sequence[str]) -> None:
        """Ask about changed copies of an image what was not asked yet."""
        ids = (one for thing in things for one in _vote_ids(image, thing))
        if not all((PLAIN, 0, one) in self._run for one in ids):
            whole = load_image(image)
            views = [view(whole) for view in VIEWS.values()]
            self._ask([vote for thing in things for vote in _votes(image, views, thing)])

    def _ask(self, questions: Sequence[Question]) -> None:
        self._asking.ask(questions, [Strategy(name=PLAIN)], [0])


def images_in(folder: Path, limit: int | None) -> list[Path]:
    """Up to `limit` images of a folder, always the same ones.

    Raises:
        BenchmarkError: There are none.
    """
    if not folder.is_dir():
        raise BenchmarkError(f"{str(folder)!r} is no folder; name one with images in it.")
    found = sorted(one for one in folder.iterdir() if one.suffix.lower() in SUFFIXES)
    if not found:
        raise BenchmarkError(
            f"There is no image in {str(folder)!r} (by the ends of their names: "
            f"{', '.join(sorted(SUFFIXES))}); name a folder with about 100 of them."
        )
    # Files of one day lie together; an order by hash takes some of all.
    found.sort(key=lambda one: hashlib.sha256(one.name.encode()).digest())
    return found[:limit]


def _agreed(image: Path, things: Sequence[str], texts: Mapping[str, str]) -> dict[str, bool]:
    """What all votes about one image agree on."""
    labels: dict[str, bool] = {}
    for thing in things:
        names = _vote_ids(image, thing)
        said = {yes_or_no(texts[name]) if name in texts else None for name in names}
        if len(said) == 1 and None not in said:
            labels[thing] = True in said
    return labels


def _vote_ids(image: Path, thing: str) -> Iterator[str]:
    for view in VIEWS:
        for number in range(len(_VOTES)):
            yield f"{image.name}/{thing}/{view} {number}"


def _votes(image: Path, views: Sequence[PIL.Image.Image], thing: str) -> Iterator[Question]:
    asked = [(view, words) for view in views for words in _VOTES]
    for name, (view, words) in zip(_vote_ids(image, thing), asked, strict=True):
        text = words.format(with_article(thing)) + SHORT
        yield Question(id=name, text=text, images=(view,), group=image.name)


def _questions(image: Path, labels: Mapping[str, bool]) -> Iterator[Question]:
    for thing in labels:
        text = _ASKED.format(with_article(thing)) + SHORT
        yield Question(id=f"{image.name}/{thing}", text=text, images=(image,), group=image.name)
    yield Question(id=f"{image.name}/caption", text=CAPTION, images=(image,), group=image.name)

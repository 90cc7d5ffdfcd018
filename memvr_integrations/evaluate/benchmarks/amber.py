"""AMBER: descriptions, and yes/no questions about things, attributes and relations.

(arXiv 2311.07397; github.com/junyangwang0410/AMBER.) The published script finds nouns with nltk's
tagger and calls two words the same when spaCy's vectors are nearer than 0.8. Both are downloads, so
here they are arguments: by default every word of AMBER's own list counts as a noun, and only what
the list calls the same is the same. That finds a few more wrong words (CHAIR, Hal) and fewer right
ones (Cover); `answers_file` is for the published script.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeAlias

from memvr_integrations.evaluate.benchmarks.benchmark import (
    Marked,
    Question,
    answered,
    percentages,
)
from memvr_integrations.evaluate.benchmarks.published_files import (
    Folder,
    Record,
    json_list,
    json_object,
    text_lines,
    unique,
)
from memvr_integrations.evaluate.benchmarks.scoring.yes_no import (
    count_answer,
    figures_of,
    yes_or_no,
)
from memvr_integrations.grounding.nouns import forms, named, runs

Nouns: TypeAlias = Callable[[str], Iterable[str]]
Similar: TypeAlias = Callable[[str, str], bool]

_ADVICE = (
    "AMBER needs the folder data of https://github.com/junyangwang0410/AMBER, and its images, to "
    "which the README there links, in a folder image."
)
_GENERATIVE = "generative"
# The published types, and the figures that a question of each counts for.
_TYPES = {
    "discriminative-hallucination": ("existence",),
    "discriminative-attribute-state": ("attribute", "state"),
    "discriminative-attribute-number": ("attribute", "number"),
    "discriminative-attribute-action": ("attribute", "action"),
    "discriminative-relation": ("relation",),
    "relation": ("relation",),
}
_DISCRIMINATIVE = ("existence", "attribute", "state", "number", "action", "relation")
_DESCRIPTION_TOKENS = 512


@dataclass(frozen=True, kw_only=True)
class Words:
    """AMBER's list of nouns: which go with which, and which are never held against a model."""

    related: Mapping[str, Sequence[str]]
    known: frozenset[str]
    safe: frozenset[str]
    nouns: Nouns
    similar: Similar


@dataclass(frozen=True, kw_only=True)
class Description:
    """What an image shows, and what a model might well invent there."""

    truth: Sequence[str]
    invented: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Amber(Marked):
    """Both tasks; precision and recall are about "No", as published.

    `kinds` holds the published type of each yes/no question, `truths` whether yes is right.
    """

    descriptions: Mapping[str, Description]
    kinds: Mapping[str, str]
    truths: Mapping[str, bool]
    words: Words
    suffix: ClassVar[str] = "json"

    def mark(self, question: Question, answer: str) -> Counter[str]:
        """Those of a description, or by type of a yes/no question."""
        if question.id in self.descriptions:
            return describe(answer, self.descriptions[question.id], self.words)
        counts = Counter[str]()
        for under in ("discriminative", *_TYPES[self.kinds[question.id]]):
            truth, said = self.truths[question.id], yes_or_no(answer)
            count_answer(counts, under, truth=truth, said=said)
        return counts

    def figures(self, counts: Mapping[str, int]) -> dict[str, float]:
        """CHAIR, Cover, Hal and Cog; then accuracy, precision, recall and F1 by type."""
        figures = percentages(
            {
                f"{_GENERATIVE}/{name}": (counts.get(part, 0), counts.get(whole, 0))
                for name, part, whole in (
                    ("CHAIR", "wrong mentions", "mentions"),
                    ("Cover", "named", "there"),
                    ("Hal", "with wrong", "descriptions"),
                    ("Cog", "invented", "inventable"),
                )
            }
        )
        for under in ("discriminative", *_DISCRIMINATIVE):
            figures |= figures_of(counts, under, positive=False)
        return figures

    def is_right(self, question: Question, answer: str) -> bool | None:
        """The yes/no questions."""
        truth = self.truths.get(question.id)
        return None if truth is None else yes_or_no(answer) == truth

    def truth(self, question: Question) -> str:
        """Yes or no, or what the image of a description shows."""
        if question.id in self.descriptions:
            return ", ".join(self.descriptions[question.id].truth)
        return "yes" if self.truths[question.id] else "no"

    def answers_file(self, answers: Mapping[str, str], *, model: str) -> str:
        """The JSON list that the published script takes; it knows "Yes" and "No" alone."""
        plain = {True: "Yes", False: "No"}
        responses = []
        for question, answer in answered(self.questions, answers):
            said = yes_or_no(answer) if question.id in self.truths else None
            response = answer if said is None else plain[said]
            responses.append({"id": int(question.id), "response": response})
        return json.dumps(responses, indent=1, ensure_ascii=False)


def describe(text: str, description: Description, words: Words) -> Counter[str]:
    """The counts of one description, in the published order of tests."""
    truth = _meanings(description.truth, words)
    invented = _meanings(description.invented, words)
    named, made_up = set[int](), set[int]()
    mentions = [noun for noun in words.nouns(text) if noun in words.known]
    wrong = 0
    for noun in mentions:
        if noun in words.safe:
            continue
        if (index := _first(noun, truth, str.__eq__)) is not None:
            named.add(index)
            continue
        for same in (str.__eq__, words.similar):
            if (index := _first(noun, invented, same)) is not None:
                made_up.add(index)
        if (index := _first(noun, truth, words.similar)) is not None:
            named.add(index)
        else:
            wrong += 1
    return Counter(
        {
            "descriptions": 1,
            "with wrong": int(wrong > 0),
            "mentions": len(mentions),
            "wrong mentions": wrong,
            "named": len(named),
            "there": len(description.truth),
            "invented": len(made_up),
            "inventable": len(description.invented),
        }
    )


def _meanings(nouns: Sequence[str], words: Words) -> list[tuple[str, int]]:
    """Words with the index of the noun that they stand for: the related ones come first."""
    near = [(word, index) for index, noun in enumerate(nouns) for word in words.related[noun]]
    return near + [(noun, index) for index, noun in enumerate(nouns)]


def _first(noun: str, among: Sequence[tuple[str, int]], same: Similar) -> int | None:
    return next((index for word, index in among if same(noun, word)), None)


def load_amber(
    folder: Path, *, nouns: Nouns | None = None, similar: Similar | None = None
) -> Amber:
    """Read AMBER's `data` (a folder that holds it, or itself) and its images.

    Args:
        folder: Where the files are.
        nouns: From a text to its nouns in the singular; by default the words of AMBER's list.
        similar: Whether two nouns mean the same; by default none do.

    Raises:
        BenchmarkError: Something is missing or malformed.
    """
    outer = Folder(folder, "AMBER", _ADVICE)
    files = Folder(outer.maybe("data") or folder, "AMBER", _ADVICE)
    words = _read_words(files, nouns, similar)
    pictures = outer.find("image", "images", "data/image", "data/images")
    queries = dict(unique(json_list(files.find("query/query_all.json")), "id"))
    questions: list[Question] = []
    descriptions: dict[str, Description] = {}
    kinds: dict[str, str] = {}
    truths: dict[str, bool] = {}
    for name, record in unique(json_list(files.find("annotations.json")), "id"):
        number, kind = record.number("id"), record.choice("type", (_GENERATIVE, *_TYPES))
        if name not in queries:
            raise record.wrong(f"query_all.json has no question with the id {number}")
        questions.append(_question(name, queries[name], kind, pictures))
        if kind == _GENERATIVE:
            descriptions[name] = _description(record, words)
        else:
            kinds[name], truths[name] = kind, record.choice("truth", ("yes", "no")) == "yes"
    return Amber(
        name="amber",
        questions=outer.checked(questions),
        descriptions=descriptions,
        kinds=kinds,
        truths=truths,
        words=words,
    )


def _question(name: str, query: Record, kind: str, pictures: Path) -> Question:
    image = query.text("image")
    return Question(
        id=name,
        text=query.text("query"),
        images=(pictures / image,),
        group=image,
        max_tokens=_DESCRIPTION_TOKENS if kind == _GENERATIVE else Question.max_tokens,
    )


def _description(record: Record, words: Words) -> Description:
    truth, invented = record.texts("truth"), record.texts("hallu")
    for noun in (*truth, *invented):
        if noun not in words.related:
            raise record.wrong(f"relation.json has no {noun!r}")
    return Description(truth=truth, invented=invented)


def _read_words(files: Folder, nouns: Nouns | None, similar: Similar | None) -> Words:
    relations = json_object(files.find("relation.json"))
    related = {noun: relations.texts(noun) for noun in relations.fields}
    known = frozenset(word for noun, near in related.items() for word in (noun, *near))
    # As a text has them: "TV" in lower case, "t-shirt" in two words.
    listed = {
        " ".join(word for run in runs(form) for word in run): noun
        for form, noun in forms(known).items()
    }
    return Words(
        related=related,
        known=known,
        safe=frozenset(line.strip() for line, _ in text_lines(files.find("safe_words.txt"))),
        nouns=nouns or (lambda text: named(text, listed)),
        similar=similar or (lambda one, other: False),
    )

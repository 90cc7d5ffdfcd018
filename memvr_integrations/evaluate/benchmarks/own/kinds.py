"""How an answer to a question of one's own is judged: yes or no, one of some choices, or a text."""

import itertools
import re
import string
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from memvr_integrations.errors import did_you_mean
from memvr_integrations.evaluate.benchmarks.published_files import Record
from memvr_integrations.evaluate.benchmarks.scoring.vqa_text import normalized, without_punctuation
from memvr_integrations.evaluate.benchmarks.scoring.yes_no import yes_or_no

Kind: TypeAlias = Literal["yes/no", "choice", "text"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_YES_NO = ("yes", "no")
_LETTERS = "ABCD"
"""Of a choice whose options stand neither in the file nor in the question, but in the picture."""

_OPTION = re.compile(r"(?<!\w)\(?([A-Z])[.):]\s*\w")
_IN_BRACKETS = re.compile(r"\(([a-z])\)", re.IGNORECASE)
_AT_THE_START = re.compile(r"\s*([a-z])(?:[).:,]|\s*$)", re.IGNORECASE)
_SAID = re.compile(r"\b(?i:answer|option|choice)(?: is|:)?\s+([A-Z])\b")
_PROMPTS: Mapping[Kind, str] = {
    "yes/no": " Answer yes or no.",
    "choice": "\nAnswer with the option's letter.",
    "text": "\nAnswer the question using a single word or phrase.",
}


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is right: "yes" or "no", letters of options, or texts of which any will do.

    `derived` says that the kind follows from the row, which doesn't name it. `options` are the
    choices by letter, None for those that the file has no text of.
    """

    kind: Kind
    derived: bool
    accepted: tuple[str, ...]
    options: Mapping[str, str | None] = field(default_factory=dict)

    def asked(self, question: str) -> str:
        """The question with its choices, and the form of the answer unless it has that already."""
        listed = [f"({letter}) {one}" for letter, one in self.options.items() if one is not None]
        text = "\n".join([question, *listed])
        says_how = re.search(r"\banswer\b", question, re.IGNORECASE)
        return text if says_how else text + _PROMPTS[self.kind]

    def judged(self, answer: str) -> bool | None:
        """Whether an answer is right; None where it is neither yes nor no, or no single option."""
        if self.kind == "text":
            return comparable(answer) in {comparable(one) for one in self.accepted}
        if self.kind == "choice":
            letter = chosen(answer, self.options)
            return None if letter is None else letter in self.accepted
        said = yes_or_no(answer)
        return None if said is None else said == (self.accepted == ("yes",))

    def __str__(self) -> str:
        texts = [self.options.get(one) for one in self.accepted]
        shown = [
            f"({a}) {text}" if text else a for a, text in zip(self.accepted, texts, strict=True)
        ]
        return " or ".join(shown)


def comparable(text: str) -> str:
    """A text as the VQA challenges compare it; what they leave nothing of, in small letters."""
    text = unicodedata.normalize("NFC", text).strip()
    small = text.casefold()
    return normalized(text) or without_punctuation(small).strip() or small


def chosen(answer: str, options: Mapping[str, str | None]) -> str | None:
    """The option that an answer names; None for none and for several.

    By an option's text alone, else by letter ("(B)", "b.", "The answer is B"), else by the only
    option whose words are there.
    """
    texts = {letter: comparable(text) for letter, text in options.items() if text is not None}
    said = comparable(answer)
    same = [letter for letter, text in texts.items() if text == said]
    if same:
        return same[0]
    begin = _AT_THE_START.match(answer)
    letters = {one.upper() for one in _IN_BRACKETS.findall(answer)}
    letters = letters or ({begin[1].upper()} if begin else set(_SAID.findall(answer)))
    letters &= options.keys()
    if not letters:
        there = {letter: text for letter, text in texts.items() if _holds(said, text)}
        # "Dark red" names no red.
        letters = {
            letter
            for letter, text in there.items()
            if not any(other != text and _holds(other, text) for other in there.values())
        }
    return letters.pop() if len(letters) == 1 else None


def _holds(text: str, words: str) -> bool:
    return f" {words} " in f" {text} "


def truth_of(row: Record) -> Truth:
    """What a row says is right.

    Raises:
        BenchmarkError: The answer is empty or doesn't fit the kind, or there is no such kind.
    """
    answers, question = _texts(row, "answer"), row.text("question")
    options = _options(row, question)
    named = row.fields.get("kind")
    kind = _derived(answers, options) if named is None else _kind(row)
    derived = named is None
    if "choices" in row.fields and kind != "choice":
        raise row.wrong(f"there are 'choices', and 'kind' is {kind!r}; leave one of them empty")
    if kind == "yes/no":
        said = [one.lower() for one in answers]
        if len(said) != 1 or said[0] not in _YES_NO:
            raise row.wrong(f"'answer' is {_shown(answers)}, and of kind 'yes/no' it is yes or no")
        return Truth(kind=kind, derived=derived, accepted=tuple(said))
    if kind == "text":
        return Truth(kind=kind, derived=derived, accepted=tuple(answers))
    options = options or dict.fromkeys(_LETTERS)
    letters = [_letter(row, one, options) for one in answers]
    return Truth(kind=kind, derived=derived, accepted=tuple(letters), options=options)


def _derived(answers: Sequence[str], options: Mapping[str, str | None]) -> Kind:
    """What a row without a kind is: it follows from its choices, its answer and its question."""
    if any(text is not None for text in options.values()):
        return "choice"
    if len(answers) == 1 and answers[0].lower() in _YES_NO:
        return "yes/no"
    return "choice" if options and all(one in options for one in answers) else "text"


def _kind(row: Record) -> Kind:
    written = row.text("kind").strip().lower()
    for kind in KINDS:
        if written == kind:
            return kind
    raise row.wrong(
        f"'kind' is {written!r}, and there are {', '.join(map(repr, KINDS))}; leave it empty to "
        f"have it follow from the answer.{did_you_mean(written, KINDS)}"
    )


def _options(row: Record, question: str) -> dict[str, str | None]:
    """The choices by letter: those of the row, or those that stand in the question."""
    if "choices" not in row.fields:
        there = set(_OPTION.findall(question))
        letters = list(itertools.takewhile(there.__contains__, string.ascii_uppercase))
        return dict.fromkeys(letters) if len(letters) > 1 else {}
    choices = _texts(row, "choices")
    letters = list(string.ascii_uppercase[: len(choices)])
    if not 2 <= len(choices) <= len(string.ascii_uppercase):
        raise row.wrong(
            f"'choices' holds {len(choices)}; two to {len(string.ascii_uppercase)} can be asked "
            'about, as "red|blue" in CSV and ["red", "blue"] in JSONL'
        )
    if choices == letters:  # their texts stand in the question, or in the picture
        return dict.fromkeys(letters)
    if len({comparable(one) for one in choices}) < len(choices):
        raise row.wrong(f"'choices' are {_shown(choices)}, of which two mean the same")
    if any(one.upper() in letters for one in choices):
        raise row.wrong(
            f"'choices' are {_shown(choices)}; single letters are what options are called by, so "
            "write them all out, or take A, B, C ... in this order"
        )
    return dict(zip(letters, choices, strict=True))


def _letter(row: Record, answer: str, options: Mapping[str, str | None]) -> str:
    same = [
        letter
        for letter, text in options.items()
        if text is not None and comparable(text) == comparable(answer)
    ]
    letter = answer.strip("().").upper()
    if not same and letter not in options:
        texts = [text for text in options.values() if text is not None] or list(options)
        raise row.wrong(
            f"'answer' is {answer!r}, which is none of the choices {_shown(texts)}; write one of "
            "them as it stands there, or its letter"
        )
    return same[0] if same else letter


def _texts(row: Record, name: str) -> list[str]:
    """One text or several, none of them empty."""
    value = row.fields.get(name)
    parts = value if isinstance(value, list) else [value]
    # A number stands for its digits; true and false stand for no text.
    texts = [str(one) for one in parts if isinstance(one, str) or type(one) is int]
    if len(texts) < len(parts):
        raise row.wrong(
            f"{name!r} is {str(value)[:60]!r}, no text and no list of texts; put it in quotation "
            "marks"
        )
    texts = [one.strip() for one in texts]
    if not texts or not all(texts):
        raise row.wrong(f"{name!r} is empty, or a part of it is; write what is right there")
    return texts


def _shown(texts: Sequence[str]) -> str:
    return ", ".join(repr(one) for one in texts)

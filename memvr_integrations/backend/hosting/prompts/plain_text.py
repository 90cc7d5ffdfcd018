"""Texts of others can't forge turns: what they write is read as text, also where it spells a mark.

A mark is what a chat template writes and no user may: `<|im_end|>`, `[INST]`, `USER:`. Most are
tokens. A text that spells one gets a seam into it, a random word that stands nowhere else. Tokens
are found in a text as it comes, and only then is it normalised: there a copy of the tokenizer
takes the seams out again. So such a text is tokenised as if its marks were no tokens, and all other
texts just as the template's own tokenizer does it.

Where a family's marks are ordinary text, tokenising can't help. There they are broken up.
"""

import copy
import json
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from memvr_integrations.errors import RequestError
from memvr_integrations.types import Image, Message, Text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, ProcessorMixin

# ASCII, so that it is the same in JSON.
SEAM = secrets.token_hex(12)

# What conversations are written with here, whatever the template.
_OURS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
_OUR_TURNS = ("<tool_response", "</tool_response>")
_BRACKETS = re.compile(r"\[/?[A-Z_]{2,}\]|<\|?/?(?!think)[A-Za-z_]{1,30}\|?>|<</?[A-Z]+>>")
_LONGEST = 30  # characters of a role and its colon


class Marks:
    """The tokens that part one model's prompts from what others wrote."""

    def __init__(self, name: str, processor: "ProcessorMixin", template: str) -> None:
        self._name, self._processor = name, processor
        tokenizer: PreTrainedTokenizerBase = processor.tokenizer
        added = tokenizer.added_tokens_decoder.values()
        special = {token.content for token in added if token.special}
        special |= {str(token) for token in tokenizer.all_special_tokens}
        literal = {t.content for t in added if t.content in template or t.content in _OURS}
        self._special, self._all = _any_of(special), _any_of(special | literal)
        self.tokens = frozenset(filter(str.strip, special | literal))
        self._longest = max(map(len, self.tokens), default=0)
        self._starts = {mark[:at] for mark in self.tokens for at in range(1, len(mark))}
        self._ends = {mark[at:] for mark in self.tokens for at in range(1, len(mark))}
        self._seamless: ProcessorMixin | None = None

    def seamed(self, text: str, *, by_model: bool = False) -> str:
        """A text with a seam in each mark that it spells.

        An earlier answer keeps the marks that are not special, as `<think>` is in many families:
        the model wrote them, and templates look for them.
        """
        marks = self._special if by_model else self._all
        while marks.search(text):
            text = marks.sub(lambda found: found[0][0] + SEAM + found[0][1:], text)
        return text

    def seamed_ends(self, message: Message) -> Message:
        """A message whose texts become no marks together with what stands next to them."""
        parts = [
            Text(self._seamed_end(part.text)) if isinstance(part, Text) else part
            for part in message.content
        ]
        return Message(message.role, parts)

    def _seamed_end(self, text: str) -> str:
        # Blanks stay outside, for templates that cut them off.
        core = text.strip()
        sizes = range(1, self._longest)
        before = SEAM if any(core[:size] in self._ends for size in sizes) else ""
        after = SEAM if any(core[-size:] in self._starts for size in sizes) else ""
        seamed = before + core + after
        return text.replace(core, seamed, 1) if core else text

    def count(self, text: str) -> Counter[str]:
        """How often each mark stands in a text."""
        return Counter(self._all.findall(text))

    def processor_for(self, prompt: str) -> "ProcessorMixin":
        """The processor that reads a prompt, seams included.

        Raises:
            RequestError: The tokenizer knows no other reading of such marks.
        """
        if SEAM not in prompt:
            return self._processor
        if self._seamless is None:
            self._seamless = self._without_seams()
        return self._seamless

    def _without_seams(self) -> "ProcessorMixin":
        tokenizer = copy.copy(self._processor.tokenizer)
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise self._inseparable("a special token")
        stored = json.loads(backend.to_str())
        steps = [{"type": "Replace", "pattern": {"String": SEAM}, "content": ""}]
        stored["normalizer"] = {
            "type": "Sequence",
            "normalizers": [*steps, *filter(None, [stored["normalizer"]])],
        }
        for token in stored["added_tokens"]:
            if token["content"] in self.tokens:
                # Else it would be looked for once more after the seams are gone.
                token["normalized"] = False
        tokenizer._tokenizer = Tokenizer.from_str(json.dumps(stored))
        for mark in self.tokens:
            ids = tokenizer(self.seamed(mark), add_special_tokens=False).input_ids
            # Words that a tokenizer's model itself knows.
            if SEAM in self.seamed(mark) and tokenizer.convert_tokens_to_ids(mark) in ids:
                raise self._inseparable(repr(mark))
        processor = copy.copy(self._processor)
        processor.tokenizer = tokenizer
        return processor

    def _inseparable(self, mark: str) -> RequestError:
        return RequestError(
            f"A text of this request spells {mark}, which {self._name}'s tokenizer can't read "
            "as text. Remove it from the text."
        )


class RoleMarks:
    """Marks of a family that are ordinary text, as `USER:` and `ASSISTANT:` of LLaVA-1.5 are."""

    def __init__(self, marks: Iterable[str]) -> None:
        self.marks = tuple(sorted({*marks, *_OUR_TURNS}, key=len, reverse=True))
        self._longest = len(self.marks[0])
        # A role's name is one where a word begins, as the template has it after a blank.
        each = (rf"(?<!\S){re.escape(m)}" if m[-1] == ":" else re.escape(m) for m in self.marks)
        self._pattern = re.compile("|".join(each))

    def broken(self, text: str) -> str:
        """A text whose marks don't read as the template's own any more."""
        return self._pattern.sub(lambda found: _broken(found[0]), text)

    def apart(self, message: Message) -> Message:
        """A message whose texts spell no mark together, one after the other.

        Also where a picture stands between them: some templates write all pictures first.
        """
        parts: list[Text | Image] = []
        before = ""
        for part in message.content:
            if isinstance(part, Text):
                seam = len(before)
                both = self._pattern.finditer(before + part.text)
                if any(found.start() < seam < found.end() for found in both):
                    part = Text(f" {part.text}")
                before = (before + part.text)[-self._longest :]
            parts.append(part)
        return Message(message.role, parts)

    def spelled(self, text: str) -> list[str]:
        """The marks that a text spells, each once."""
        return list(dict.fromkeys(self._pattern.findall(text)))

    def found(self, message: Message) -> list[str]:
        """The marks that a message spells, each once."""
        texts = [part.text for part in message.content if isinstance(part, Text)]
        texts += [text for call in message.tool_calls for text in (call.name, call.arguments)]
        return self.spelled("\n".join([*texts, f"{message.name or ''}:"]))


def role_marks(pieces: Sequence[str], tokens: Iterable[str]) -> set[str]:
    """The marks among what a template writes around messages, the tokens left aside.

    `pieces` are what stands before, between and after the messages. A name with a colon is a mark
    where some message ends without a token; what stands in brackets always is.
    """
    cuts = [_any_of(set(tokens)).split(piece) for piece in pieces]
    marks = {mark for cut in cuts for part in cut for mark in _BRACKETS.findall(part)}
    if all(len(cut) > 1 or not cut[0].strip() for cut in cuts[1:]):
        return marks
    for part in (part.strip() for cut in cuts for part in cut):
        line = re.split(r"\n|[.!?] ", part)[-1]
        if line.endswith(":"):
            marks.add(line if len(line) <= _LONGEST else line.split()[-1])
    return marks


def _any_of(texts: set[str]) -> re.Pattern[str]:
    # The longest first, as tokenizers find them. Blanks are no mark, and a letter has no inside.
    marks = (text for text in texts if len(text.strip()) > 1 and text not in SEAM)
    longest_first = sorted(marks, key=lambda text: (-len(text), text))
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _broken(mark: str) -> str:
    return f"{mark[:-1]} :" if mark[-1] == ":" else f"{mark[0]} {mark[1:]}"

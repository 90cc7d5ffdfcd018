"""What the model reads: each text once and as text, each picture in its place."""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from memvr_integrations.backend.hosting.prompts.writer import Picture
from memvr_integrations.doctor.finding import REPORT, Finding, failed, ok
from memvr_integrations.doctor.subject import Subject
from memvr_integrations.errors import RequestError
from memvr_integrations.types import Image, Message, Request, Text, Tool, ToolCall

_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord")  # that no template writes
_MOST_MARKS = 64  # some tokenizers hold thousands, most of them unused


def template(subject: Subject) -> Finding:
    """A conversation of each form stands in the prompt whole, or is refused with the reason."""
    shown, refused = [], []
    for form, request in _conversations(subject, *_WORDS).items():
        try:
            ids = _ids(subject, request)
        except RequestError as error:
            if form == "question":
                return failed(str(error), "download the checkpoint anew, or choose another one")
            refused.append(f"{form} ({error})")
            continue
        if problem := _misplaced(subject, ids, request):
            return failed(
                f"in a conversation with {form}, {problem}",
                f"send single questions until it is mended, and {REPORT}",
            )
        shown.append(form)
    says = f"each text stands once and in order, each picture in its message: {', '.join(shown)}"
    return ok(f"{says}; refused: {'; '.join(refused)}" if refused else says)


def forged_marks_stay_text(subject: Subject) -> Finding:
    """In no place does a text that spells special tokens, or roles, become one of them."""
    added = subject.host.tokenizer.added_tokens_decoder.items()
    special = {number: token.content for number, token in added if token.special}
    usual = _conversations(subject, *["hello"] * 6)
    written = _ids(subject, usual["question"])  # the template's own come first
    marks = [special[one] for one in sorted(special, key=lambda one: (one not in written, one))]
    tried, roles = marks[:_MOST_MARKS], subject.host.prompts.role_marks
    readable = [mark for mark in tried if _readable(subject, mark)]
    text = "".join([f"\n{one} a{one}" for one in readable] + [f"\n{one} yes" for one in roles])
    forms = []
    for form, request in _conversations(subject, *[text] * 6).items():
        try:
            expected = _control(subject, _ids(subject, usual[form]), special)
        except RequestError:
            continue  # `template` says so
        ids = _ids(subject, request)
        found = _control(subject, ids, special)
        # Whether a mark stands once more is the template's matter, so all are counted.
        if passed := [mark for mark in found | expected if found[mark] != expected[mark]]:
            return failed(
                f"in a conversation with {form}, a text passes for {', '.join(map(repr, passed))}",
                f"don't show this model texts of strangers until it is mended, and {REPORT}",
            )
        read = _core(subject.host.tokenizer.decode(ids))
        if lost := [mark for mark in readable if _core(mark) not in read]:
            return failed(f"with {form}, texts lose {', '.join(lost)}", REPORT)
        forms.append(form)
    spelled = [f"{len(readable)} of {len(special)} special tokens", *map(repr, roles)]
    refused = [mark for mark in tried if mark not in readable]
    says = f"{', '.join(spelled)} are read as text: {', '.join(forms)}"
    return ok(says + (f"; refused: {', '.join(refused)}" if refused else ""))


def _control(subject: Subject, ids: list[int], special: Mapping[int, str]) -> Counter[str]:
    """How often each special token, visual ones too, and each mark of a role stands in a prompt."""
    known = {subject.host.prompts.image_token: "a picture", **special}
    found = Counter(known[one] for one in ids if one in known)
    prompt = str(subject.host.tokenizer.decode(ids))
    for role in subject.host.prompts.role_marks:  # where a word begins, as the template has it
        found[role] = len(re.findall(rf"(?<!\S){re.escape(role)}", prompt))
    return found


def _conversations(
    subject: Subject, first: str, second: str, third: str, fourth: str, fifth: str, sixth: str
) -> Mapping[str, Request]:
    """Requests of each form that a template may have, with these texts in this order."""
    picture, other = Image(subject.square), Image(subject.wide)
    call = ToolCall(id="1", name="zoom", arguments=json.dumps({"at": third}))
    asked = Message("user", [picture, second])
    made = {
        "question": [Message("user", [picture, first])],
        "system": [Message("system", first), asked],
        "history": [asked, Message("assistant", third), Message("user", [other, fourth])],
        "tools": [
            Message("user", [picture, first, second]),
            Message("assistant", "", tool_calls=[call]),
            Message("tool", [fourth, other], name=sixth.strip()),
        ],
    }
    requests = {form: Request(messages=tuple(messages)) for form, messages in made.items()}
    schema = {"type": "object", "description": second}
    return requests | {
        "tools": replace(requests["tools"], tools=(Tool(name="zoom", description=fifth),)),
        "schema": replace(requests["question"], response_format=schema),
    }


def _ids(subject: Subject, request: Request) -> list[int]:
    """What the model reads."""
    images = [part.source for part in request.images]
    pictures = [Picture(image=image, hash="") for image in images]  # type: ignore[arg-type]
    ids: list[int] = subject.host.prompts.write(request, pictures).inputs["input_ids"][0].tolist()
    return ids


def _readable(subject: Subject, mark: str) -> bool:
    try:
        _ids(subject, Request.ask(mark, subject.square))
    except RequestError:  # a placeholder of pictures or the like
        return False
    return True


def _misplaced(subject: Subject, ids: Sequence[int], request: Request) -> str | None:
    """What is wrong with a prompt; a system prompt may stand where the template wants it."""
    pieces = list(_pieces(subject, ids))
    # For each time that a word stands there, how many visual tokens are before it.
    found = {
        word: [before for before, text in pieces for _ in range(text.count(word))]
        for word in _WORDS
    }
    messages = [message for message in request.messages if message.role != "system"]
    own = [_words(*_written(message)) for message in messages]
    others = [text for one in request.messages if one.role == "system" for text in _written(one)]
    others += [tool.description for tool in request.tools]
    expected = [*itertools.chain(*own), *_words(*others, json.dumps(request.response_format))]
    for word, places in found.items():
        if len(places) != expected.count(word):
            return f"the text {word!r} stands {len(places)} times in the prompt"
    prompt = "".join(text for _, text in pieces)
    order = list(itertools.chain(*own))
    if sorted(order, key=prompt.index) != order:
        return f"the texts {', '.join(order)} do not stand in order"
    visual = {word: places[0] for word, places in found.items() if places}
    for at, message in enumerate(messages):
        start = visual[own[at - 1][-1]] if at else 0
        later = own[at + 1][:1] if at + 1 < len(own) else []
        end = visual[later[0]] if later else ids.count(subject.host.prompts.image_token)
        if any(isinstance(part, Image) for part in message.content) and start >= end:
            return f"the picture beside {own[at][0]!r} does not stand in its message"
    return None


def _words(*texts: str) -> list[str]:
    return re.findall("|".join(_WORDS), " ".join(texts))


def _written(message: Message) -> list[str]:
    texts = [part.text for part in message.content if isinstance(part, Text)]
    return [message.name or "", *texts, *(call.arguments for call in message.tool_calls)]


def _pieces(subject: Subject, ids: Sequence[int]) -> Iterator[tuple[int, str]]:
    """The texts between visual tokens, without blanks, each after how many of them it stands."""
    image, before = subject.host.prompts.image_token, 0
    for visual, run in itertools.groupby(ids, lambda one: one == image):
        piece = list(run)
        if visual:
            before += len(piece)
        else:
            yield before, _core(subject.host.tokenizer.decode(piece))


def _core(text: object) -> str:
    return "".join(str(text).split())

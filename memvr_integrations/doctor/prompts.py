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
    tokenizer = subject.host.tokenizer
    added = tokenizer.added_tokens_decoder.items()
    special = {token.content: number for number, token in added if token.special}
    usual = _conversations(subject, *["hello"] * 6)
    written = _ids(subject, usual["question"])  # the template's own come first
    marks = sorted(special, key=lambda mark: (special[mark] not in written, special[mark]))
    marks = marks[:_MOST_MARKS]
    readable = [mark for mark in marks if _readable(subject, mark)]
    roles = subject.host.prompts.role_marks
    text = "".join(f"\n{mark} a{mark}" for mark in readable)
    text += "".join(f"\n{role} yes" for role in roles)
    forged = _conversations(subject, *[text] * 6)
    control = {*special.values(), subject.host.prompts.image_token}
    read_forms = []
    for form, request in forged.items():
        try:
            expected = _ids(subject, usual[form])
        except RequestError:
            continue  # `template` says so
        read_forms.append(form)
        ids = _ids(subject, request)
        # Whether a mark stands once more is the template's matter, so all are counted.
        counts, counts_usual = (Counter(filter(control.__contains__, i)) for i in (ids, expected))
        if counts != counts_usual:
            more = (counts - counts_usual) | (counts_usual - counts)
            return _forged(form, [str(tokenizer.decode([one])) for one in more])
        read = str(tokenizer.decode(ids))
        turns, turns_usual = (_turns(one, roles) for one in (read, str(tokenizer.decode(expected))))
        if turns != turns_usual:
            return _forged(form, list((turns - turns_usual) | (turns_usual - turns)))
        if not all(_core(mark) in _core(read) for mark in readable):
            return failed(f"marks of a text are lost in {form}", REPORT)
    refused = [mark for mark in marks if mark not in readable]
    says = f"{len(readable)} of {len(special)} special tokens"
    says += f" and {', '.join(map(repr, roles))}" if roles else ""
    says += f" are read as text: {', '.join(read_forms)}"
    return ok(says + (f"; {', '.join(refused)} refused" if refused else ""))


def _turns(prompt: str, roles: Sequence[str]) -> Counter[str]:
    """How often each mark of a role stands where a word begins, as the template has it."""
    return Counter({one: len(re.findall(rf"(?<!\S){re.escape(one)}", prompt)) for one in roles})


def _forged(form: str, marks: Sequence[str]) -> Finding:
    return failed(
        f"in a conversation with {form}, a text passes for {', '.join(map(repr, marks))}",
        f"don't show this model texts of strangers until it is mended, and {REPORT}",
    )


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

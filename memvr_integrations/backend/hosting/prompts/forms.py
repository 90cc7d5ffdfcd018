"""The forms in which a chat template may want its messages, in the order in which they are tried.

Published templates differ: some loop over a message's parts, some read the first part alone, some
want text, some know no system role, or know it as the first message only.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from memvr_integrations.backend.hosting.prompts.conversation import merged, without_system
from memvr_integrations.types import Image, Message, Text

Part: TypeAlias = dict[str, object]
Content: TypeAlias = str | list[Part]
Written: TypeAlias = list[dict[str, object]]
"""Messages as a template reads them; each of their images is `{"type": "image"}`."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """How messages are handed to a template: where system messages go, and contents by role."""

    placed: Callable[[Sequence[Message]], Sequence[Message]]
    user: Callable[[Message], Content]
    others: Callable[[Message], Content]

    def written(self, messages: Sequence[Message]) -> Written:
        """The messages as the template gets them."""
        return [
            {
                "role": message.role,
                "content": (self.user if message.role == "user" else self.others)(message),
            }
            for message in self.placed(messages)
        ]


def _as_it_is(messages: Sequence[Message]) -> Sequence[Message]:
    return messages


def _later_systems_said_by_user(messages: Sequence[Message]) -> Sequence[Message]:
    return merged([*messages[:1], *without_system(messages[1:])])


def _parts(message: Message) -> Content:
    return [
        {"type": "image"} if isinstance(part, Image) else {"type": "text", "text": part.text}
        for part in message.content
    ]


def _joined(message: Message) -> Content:
    """Texts that no image parts become one; there is always a part."""
    content: list[Part] = []
    for is_image, run in itertools.groupby(message.content, lambda p: isinstance(p, Image)):
        parts = list(run)
        if is_image:
            content += [{"type": "image"} for _ in parts]
        else:
            content.append({"type": "text", "text": _text(parts)})
    return content or [{"type": "text", "text": ""}]


def _images_first(message: Message) -> Content:
    images: list[Part] = [{"type": "image"} for p in message.content if isinstance(p, Image)]
    return [*images, {"type": "text", "text": _text(message.content)}]


def _string(message: Message) -> Content:
    if any(isinstance(part, Image) for part in message.content):
        return _joined(message)
    return _text(message.content)


def _text(parts: Sequence[Text | Image]) -> str:
    texts = (part.text for part in parts if isinstance(part, Text))
    return "\n".join(text for text in texts if text.strip())


FORMS = tuple(
    Form(placed=placed, user=user, others=others)
    for placed in (_as_it_is, _later_systems_said_by_user, without_system)
    for user, others in (
        (_parts, _parts),
        (_parts, _joined),
        (_parts, _string),
        (_joined, _joined),
        (_joined, _string),
        (_string, _string),
        (_images_first, _joined),
        (_images_first, _string),
    )
)
"""All forms; the first one that a template shows rightly is taken."""

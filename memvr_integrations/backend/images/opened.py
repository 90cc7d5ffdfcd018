"""Messages whose pictures are read already, for those who ask about the same ones often."""

from collections.abc import Sequence

from memvr_integrations.backend.images.sources import read_image
from memvr_integrations.errors import ImageError
from memvr_integrations.types import Image, Message, Text
from memvr_integrations.types.image_policy import ImagePolicy


def opened(messages: Sequence[Message], policy: ImagePolicy) -> tuple[Message, ...]:
    """The messages with their pictures downloaded and decoded, as the policy lets them in.

    One that can't be used stays as it is: the request's own error says where it stands.
    """

    def read(part: Text | Image) -> Text | Image:
        try:
            return Image(read_image(part.source, policy)) if isinstance(part, Image) else part
        except ImageError:
            return part

    return tuple(
        Message(
            message.role,
            [read(part) for part in message.content],
            name=message.name,
            tool_calls=message.tool_calls,
        )
        for message in messages
    )

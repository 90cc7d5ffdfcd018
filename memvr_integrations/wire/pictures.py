"""Pictures that a program puts into a message; numpy and Pillow come in with the first one."""

import io
from typing import TYPE_CHECKING

from memvr_integrations.types.image_policy import ImagePolicy

if TYPE_CHECKING:
    from memvr_integrations.backend.images import ImageSource


def png_of(source: "ImageSource", policy: ImagePolicy | None = None) -> bytes:
    """A picture of a message as PNG, upright and in RGB."""
    from memvr_integrations.backend.images import load_image

    buffer = io.BytesIO()
    load_image(source, policy or ImagePolicy()).save(buffer, "PNG")
    return buffer.getvalue()


def own_png(source: "ImageSource") -> bytes:
    """What `image_block` puts into a block: here a text is a path, for the program names it."""
    from memvr_integrations.backend.images import path_or_data

    return png_of(path_or_data(source))

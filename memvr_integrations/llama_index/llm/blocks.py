"""LlamaIndex's blocks, nodes and documents as the backend's texts and pictures."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from llama_index.core.base.llms.types import (
    BaseContentBlock,
    CachePoint,
    CitableBlock,
    CitationBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.schema import BaseNode, ImageNode, MediaResource, Node, NodeWithScore
from llama_index.core.schema import (
    ImageDocument as CoreImageDocument,
)

from memvr_integrations.checks import check_list
from memvr_integrations.errors import ImageError, RequestError, picture_named
from memvr_integrations.types import Image, ReadImage, Text
from memvr_integrations.wire.parts import Part, own_picture

if TYPE_CHECKING:
    import PIL.Image

    from memvr_integrations.backend.images import ImageSource

ImageDocument: TypeAlias = (
    "ImageBlock | BaseNode | NodeWithScore | Path | bytes | PIL.Image.Image | ReadImage"
)

# Hints for other models, and calls, which `messages` reads.
_PASSED_OVER = (CachePoint, ThinkingBlock, ToolCallBlock)


def image_block(source: "ImageSource") -> ImageBlock:
    """A block that holds a picture, for `ChatMessage(blocks=[...])`.

    `source` is a path (also as a string: here it is you who names the file), a data URL,
    encoded bytes, a Pillow image or a numpy array. An ordinary JPEG or PNG travels in the block as
    it is, any other picture as a PNG; `ImageBlock(path=...)` keeps large files out of it.

    Raises:
        ImageError: The picture can't be used.
    """
    data, media = own_picture(source)
    return ImageBlock(image=data, image_mimetype=media)


def parts_of(blocks: Iterable[BaseContentBlock]) -> Iterator[Part]:
    """The texts and pictures of some blocks, in order."""
    for block in blocks:
        if isinstance(block, TextBlock):
            yield Text(block.text)
        elif isinstance(block, ImageBlock):
            yield Image(_source_of_block(block))
        elif isinstance(block, CitableBlock | CitationBlock):
            yield from parts_of(block.nested_blocks)
        elif not isinstance(block, _PASSED_OVER):
            raise RequestError(
                f"A message holds a {type(block).__name__}; MemVRMultiModalLLM reads text and "
                "images. Leave it out, or turn it into text or an image first."
            )


def pictures_of(documents: Sequence[ImageDocument], message: int = 1) -> list[Image]:
    """The pictures of `image_documents=`: blocks, nodes, documents, paths, bytes, Pillow's.

    They come first in the conversation's user message of that number.
    """
    given = check_list("image_documents", documents, "a list of images")
    pictures: list[Image] = []
    for document in given:
        with picture_named(message, "user", len(pictures) + 1):
            pictures.append(Image(_source_of(document)))
    return pictures


def _source_of(document: object) -> "ImageSource":
    if isinstance(document, NodeWithScore):
        document = document.node
    if isinstance(document, ImageBlock):
        return _source_of_block(document)
    if isinstance(document, BaseNode):
        return source_of_node(document)
    return document  # type: ignore[return-value]  # the backend says what it can't read


def _source_of_block(block: ImageBlock) -> Path | str | bytes:
    if isinstance(block.image, bytes) and block.image.isascii():
        return block.image.decode()  # base64, which the backend decodes in a thread of its own
    if block.image:
        try:
            encoded: bytes = block.resolve_image().read()
        except (OSError, ValueError) as problem:  # of a stream that is empty or closed
            raise ImageError(
                f"An ImageBlock can't be read ({problem}); give it image=bytes, path= or url=."
            ) from problem
        return encoded
    if block.path:
        return block.path
    if block.url:
        return str(block.url)
    raise ImageError(
        "An ImageBlock holds no picture; give it image=bytes, path= or url=, or make it with "
        "image_block(...)."
    )


def is_image(node: BaseNode) -> bool:
    """Whether a node shows a picture: core has three kinds of such nodes."""
    if isinstance(node, ImageNode | CoreImageDocument):
        return True
    return isinstance(node, Node) and node.image_resource is not None


def address_of(node: BaseNode) -> str:
    """The path or URL of a node's picture; empty where it holds the picture itself."""
    if not is_image(node):
        return ""
    try:
        source = source_of_node(node)
    except ImageError:
        return ""
    if isinstance(source, bytes) or (isinstance(source, str) and "://" not in source[:16]):
        return ""  # base64, or a data URL
    return str(source)


def source_of_node(node: BaseNode) -> Path | str | bytes:
    """Where a node keeps its picture."""
    if isinstance(node, ImageNode):
        if node.image:
            return node.image
        if node.image_path:
            return Path(node.image_path)
        if node.image_url:
            return node.image_url
    resource = node.image_resource if isinstance(node, Node) else None
    if isinstance(resource, MediaResource):
        if resource.data:
            return resource.data.decode()
        if resource.path:
            return resource.path
        if resource.url:
            return str(resource.url)
    raise ImageError(
        f"The {type(node).__name__} {node.node_id!r} holds no picture: no image, image_path, "
        "image_url or image_resource."
    )

"""Documents that stand for pictures: what they hold, and where the picture is."""

from collections.abc import Mapping
from pathlib import Path

from langchain_core.documents import Document

from memvr_integrations.backend.images import page_of
from memvr_integrations.errors import RequestError
from memvr_integrations.grounding.collections.describing import Description
from memvr_integrations.grounding.collections.sources import Entry, is_file
from memvr_integrations.types import ReadImage

WORDS = "descriptions"
"""The metadata that holds all that is said of a picture, for a search by words."""


def document_of(
    entry: Entry, picture: ReadImage, said: Description, checked: str | None
) -> Document:
    """A picture as a document; its metadata is flat, as vector stores want it."""
    page = page_of(entry.source)
    own: dict[str, object] = {
        "source": entry.source,
        "width": picture.pixels.width,
        "height": picture.pixels.height,
        WORDS: said.words,
        "page": page[1] if page else None,
        "unsureness": said.caption.unsureness,
        "checked": checked,
    }
    there = {name: value for name, value in own.items() if value is not None}
    metadata = {**(entry.metadata or {}), **said.facets, **there}
    return Document(id=entry.id, page_content=said.caption.text, metadata=metadata)


def source_of(document: Document) -> Path | str:
    """Where a document's picture is: a path, or a URL.

    Raises:
        RequestError: It says no source.
    """
    source = document.metadata.get("source")
    if not isinstance(source, str) or not source:
        raise RequestError(
            f"The document {document.page_content[:80]!r} names no picture; its metadata needs "
            '{"source": path or URL}, as ImageLoader writes it.'
        )
    return Path(source) if is_file(source) else source


def words_of(document: Document) -> str:
    """All that is said of a document's picture."""
    metadata: Mapping[str, object] = document.metadata
    return str(metadata.get(WORDS) or document.page_content)

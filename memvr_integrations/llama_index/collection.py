"""`ImageCollectionIndex`: from a folder of images to something that can be searched."""

import asyncio
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypedDict, Unpack

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import LLM
from llama_index.core.schema import BaseNode, ImageNode
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from memvr_integrations.backend.images import is_pdf
from memvr_integrations.errors import ConfigError
from memvr_integrations.grounding.captions import CAPTION_PROMPT
from memvr_integrations.grounding.collections.metadata import Metadata
from memvr_integrations.grounding.collections.sources import (
    Entry,
    Given,
    entries,
    file_of,
    id_of,
    in_folder,
    in_table,
    is_file,
    place_of,
)
from memvr_integrations.llama_index.asking.engines import SearchableImages
from memvr_integrations.llama_index.llm.checks import knows_its_options
from memvr_integrations.llama_index.store.captions import policy_of
from memvr_integrations.llama_index.store.shelf import Shelf
from memvr_integrations.wire.blocking import wait_for

if TYPE_CHECKING:
    import pandas as pd


class Options(TypedDict, total=False):
    """What each way to make a collection takes, beside where the images come from."""

    llm: LLM | None
    embed_model: BaseEmbedding | None
    vector_store: BasePydanticVectorStore | None
    caption_prompt: str
    descriptions: int | None
    facets: Mapping[str, str] | None
    batch_size: int
    show_progress: bool


class ImageCollectionIndex(SearchableImages):
    """Images with captions that can be searched; kept on disk.

    Every image is described by `llm` (with MemVR): in a caption and in `descriptions` more that are
    sampled (None: 4, or 0 of an LLM that is not ours), which name what the caption leaves out.
    `facets` are questions by name, `{"place": "Where is this?"}`, whose answers become metadata. It
    is found by the words of all that, and by its caption's vector. What is
    finished is on disk at once: killed in the middle, it goes on where it was. `persist_dir` is a
    folder of its own; None keeps everything for as long as the object lives. `embed_model` is any
    embedding of LlamaIndex, offline word vectors by default; a `MultiModalEmbedding` embeds the
    pictures instead of their captions. `vector_store` holds the vectors: in memory by default, or
    for instance a `QdrantVectorStore`.

    Images that can't be read are left out with a warning; `failures` says why. `with` closes it.

    Raises:
        ConfigError: An option is wrong, or `persist_dir` was made with another embedding,
            caption prompt or facets.
        RequestError: It was closed before.
    """

    @knows_its_options
    def __init__(
        self,
        persist_dir: str | Path | None = None,
        *,
        llm: LLM | None = None,
        embed_model: BaseEmbedding | None = None,
        vector_store: BasePydanticVectorStore | None = None,
        caption_prompt: str = CAPTION_PROMPT,
        descriptions: int | None = None,
        facets: Mapping[str, str] | None = None,
        batch_size: int = 16,
        show_progress: bool = True,
    ) -> None:
        """Open a collection, or begin one."""
        self._shelf = Shelf(
            persist_dir,
            llm=llm,
            embed_model=embed_model,
            vector_store=vector_store,
            caption_prompt=caption_prompt,
            descriptions=descriptions,
            facets=facets,
            batch_size=batch_size,
            show_progress=show_progress,
        )
        self.llm, self.embed_model = self._shelf.llm, self._shelf.embed_model
        self.vector_store, self.persist_dir = self._shelf.vectors.store, self._shelf.folder

    @classmethod
    @knows_its_options
    def from_folder(
        cls,
        folder: str | Path,
        *,
        persist_dir: str | Path | None = None,
        recursive: bool = True,
        metadata: Callable[[Path], Metadata] | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """A collection of a folder's images; `metadata` says for each file what to filter by.

        Called again on the same `persist_dir`, it takes in what is new or changed and forgets
        what is gone, from this folder or any other. Without `metadata`, what was said of a file
        stays. Files are images by their suffixes; a PDF is its pages (extra `pdf`). Links to
        folders are not followed.

        Raises:
            ConfigError: There is no such folder, no image in it, or `metadata` gives what JSON
                does not hold.
        """
        policy = policy_of(options.get("llm"))
        found, failed = in_folder(folder, recursive=recursive, metadata=metadata, policy=policy)
        index = cls(persist_dir, **options)
        wait_for(index._shelf.take_in(found))
        here, kept = Path(folder).resolve(), {entry.id for entry in found}
        index._shelf.forget(
            [
                record.id
                for record in index._shelf.records
                if record.is_gone or (here in Path(record.source).parents and record.id not in kept)
            ]
        )
        index._shelf.report(found, failed)
        return index

    @classmethod
    @knows_its_options
    def from_images(
        cls,
        images: "Given | Iterable[Given]",
        *,
        persist_dir: str | Path | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """A collection of paths, URLs, bytes or Pillow images, each alone or with its metadata.

        A PDF is its pages; `Path("report.pdf#page=3")` is one of them.
        """
        index = cls(persist_dir, **options)
        index.add(images)
        return index

    @classmethod
    @knows_its_options
    def from_dataframe(
        cls,
        table: "pd.DataFrame",
        *,
        image_column: str = "image",
        persist_dir: str | Path | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """A collection of the images in a column; the other columns are their metadata.

        Raises:
            ConfigError: There is no such column.
        """
        return cls.from_images(in_table(table, image_column), persist_dir=persist_dir, **options)

    @classmethod
    @knows_its_options
    def open(cls, persist_dir: str | Path, **options: Unpack[Options]) -> Self:
        """Open a collection that exists already.

        Raises:
            ConfigError: There is none.
        """
        if not (Path(persist_dir) / "images.sqlite").exists():
            raise ConfigError(
                f"{persist_dir} holds no collection; make one with "
                "ImageCollectionIndex.from_folder(folder, persist_dir=...)."
            )
        return cls(persist_dir, **options)

    # What it holds.

    @property
    def failures(self) -> dict[str, str]:
        """Why images were left out, by their path, URL, or number in what was given."""
        return self._shelf.failures

    def add(self, images: "Given | Iterable[Given]") -> list[str]:
        """Take in images, or one; those that are there already and did not change cost nothing.

        What is said of an image (`(image, {"year": 2024})`) replaces what was said before; said
        of none, it stays. Returns their ids; those of images that can't be read are left out.

        Raises:
            ConfigError: Something is said of an image that JSON does not hold.
        """
        self._shelf.vectors.catch_up()  # refuses, before a picture is kept in a folder that is gone
        found, failed = entries(images, self.persist_dir / "images", policy_of(self.llm))
        wait_for(self._shelf.take_in(found))
        return self._shelf.report(found, failed)

    async def aadd(self, images: "Given | Iterable[Given]") -> list[str]:
        """`add` for asyncio."""
        self._shelf.vectors.catch_up()
        kept = self.persist_dir / "images"
        policy = policy_of(self.llm)
        found, failed = await asyncio.to_thread(entries, images, kept, policy)
        await self._shelf.take_in(found)
        return self._shelf.report(found, failed)

    def remove(self, images: str | Path | Iterable[str | Path]) -> None:
        """Forget images, or one, by id, path or URL; their files stay where they are.

        A PDF's path stands for all its pages.

        Raises:
            ConfigError: One of them is not in the collection.
        """
        known = self._shelf.records.stamps()
        named = [images] if isinstance(images, str | Path) else images
        self._shelf.forget([one for image in named for one in self._ids(image, known)])

    def _ids(self, image: str | Path, known: Container[str]) -> list[str]:
        place = place_of(image)
        pages = [r.id for r in self._shelf.records if r.source != place == file_of(r.source)]
        return pages if is_pdf(place) and pages else [self._id(image, known)]

    def _id(self, image: str | Path, known: Container[str]) -> str:
        if found := _known(image, known):
            return found
        raise ConfigError(
            f"{str(image)[:200]!r} is not in this collection; give an image's id, path or URL."
        )

    def refresh(self) -> None:
        """Read every file again: describe what has changed, forget what is gone.

        A file that can't be read any more is forgotten too, with a warning.
        """
        files = [Entry(source=r.source) for r in self._shelf.records if is_file(r.source)]
        self._shelf.forget([entry.id for entry in files if not entry.stamp])
        there = [entry for entry in files if entry.stamp]
        wait_for(self._shelf.take_in(there))
        self._shelf.report(there, {})

    def __len__(self) -> int:
        """How many images it holds."""
        return len(self._shelf.records)

    def __getitem__(self, image: str | Path) -> ImageNode:
        """One image, by id, path or URL.

        Raises:
            ConfigError: It is not in the collection.
        """
        [record] = self._shelf.records.get([self._id(image, self._shelf.records.stamps())])
        return record.node

    def __iter__(self) -> Iterator[ImageNode]:
        """Its images as nodes, each with its caption as text."""
        return (record.node for record in self._shelf.records)

    def __contains__(self, image: object) -> bool:
        """Whether it holds an image, by id, path, URL or node."""
        return _known(image, self._shelf.records.stamps()) is not None

    def close(self) -> None:
        """Close its files; what is kept stays."""
        self._shelf.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _known(image: object, known: Container[str]) -> str | None:
    """The id of an image that is known, by id, path, URL or node."""
    name = image.node_id if isinstance(image, BaseNode) else image
    if not isinstance(name, str | Path):
        return None
    return next((one for one in (str(name), id_of(place_of(name))) if one in known), None)

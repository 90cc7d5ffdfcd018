"""`ImageCollectionIndex`: from a folder of images to something that can be searched."""

import asyncio
import shutil
import weakref
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import LLM
from llama_index.core.schema import BaseNode, ImageNode
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import BasePydanticVectorStore, VectorStoreQuery

from memvr_integrations.errors import ConfigError
from memvr_integrations.grounding.captions import CAPTION_PROMPT
from memvr_integrations.llama_index.asking.engines import SearchableImages
from memvr_integrations.llama_index.llm import MemVRMultiModalLLM
from memvr_integrations.llama_index.llm.blocking import wait_for
from memvr_integrations.llama_index.llm.checks import knows_its_options
from memvr_integrations.llama_index.store.captions import CaptionImages
from memvr_integrations.llama_index.store.embedding import WordEmbedding
from memvr_integrations.llama_index.store.images import (
    Entry,
    Given,
    entries,
    id_of,
    in_folder,
    in_table,
    is_file,
    place_of,
)
from memvr_integrations.llama_index.store.intake import Intake
from memvr_integrations.llama_index.store.metadata import Metadata
from memvr_integrations.llama_index.store.options import Options, check_given, folder_of
from memvr_integrations.llama_index.store.records import Records

if TYPE_CHECKING:
    import pandas as pd


class ImageCollectionIndex(SearchableImages):
    """Images with captions that can be searched; kept on disk.

    Every image is described once by `llm` (with MemVR), and found by its description. What is
    finished is on disk at once: killed in the middle, it goes on where it was. `persist_dir` is a
    folder of its own; None keeps everything for as long as the object lives. `embed_model` is any
    embedding of LlamaIndex, offline word vectors by default; a `MultiModalEmbedding` embeds the
    pictures instead of their captions. `vector_store` holds the vectors: in memory by default, or
    for instance a `QdrantVectorStore`.

    Images that can't be read are left out with a warning; `failures` says why. `with` closes it.

    Raises:
        ConfigError: An option is wrong, or `persist_dir` was made with another embedding or
            caption prompt.
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
        batch_size: int = 16,
        show_progress: bool = True,
    ) -> None:
        """Open a collection, or begin one."""
        check_given(
            llm=llm,
            embed_model=embed_model,
            vector_store=vector_store,
            caption_prompt=caption_prompt,
            batch_size=batch_size,
        )
        self.llm = llm or MemVRMultiModalLLM()
        self.embed_model = embed_model or WordEmbedding()
        self.vector_store = vector_store or SimpleVectorStore()
        self.persist_dir = folder_of(persist_dir)
        self._records = Records(self.persist_dir / "images.sqlite")
        self._captions = CaptionImages(
            llm=self.llm, prompt=caption_prompt, cache=self.persist_dir / "captions.sqlite"
        )
        passing = None if persist_dir else self.persist_dir
        self._finalizer = weakref.finalize(self, _shut, self._records, self._captions, passing)
        self._agree("embed_model", self.embed_model.model_name)
        self._agree("caption_prompt", caption_prompt)
        self._fill_store()
        self._intake = Intake(
            records=self._records,
            captions=self._captions,
            embed_model=self.embed_model,
            vector_store=self.vector_store,
            batch_size=batch_size,
            show_progress=show_progress,
        )

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
        stays. Files are images by their suffixes; links to folders are not followed.

        Raises:
            ConfigError: There is no such folder, no image in it, or `metadata` gives what JSON
                does not hold.
        """
        found = in_folder(folder, recursive=recursive, metadata=metadata)
        index = cls(persist_dir, **options)
        wait_for(index._intake.take_in(found))
        here, kept = Path(folder).resolve(), {entry.id for entry in found}
        index._intake.forget(
            [
                record.id
                for record in index._records
                if record.is_gone or (here in Path(record.source).parents and record.id not in kept)
            ]
        )
        index._intake.report(found, {})
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
        """A collection of paths, URLs, bytes or Pillow images, each alone or with its metadata."""
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
        return self._intake.failures

    def add(self, images: "Given | Iterable[Given]") -> list[str]:
        """Take in images, or one; those that are there already and did not change cost nothing.

        What is said of an image (`(image, {"year": 2024})`) replaces what was said before; said
        of none, it stays. Returns their ids; those of images that can't be read are left out.

        Raises:
            ConfigError: Something is said of an image that JSON does not hold.
        """
        found, failed = entries(images, self.persist_dir / "images")
        wait_for(self._intake.take_in(found))
        return self._intake.report(found, failed)

    async def aadd(self, images: "Given | Iterable[Given]") -> list[str]:
        """`add` for asyncio."""
        kept = self.persist_dir / "images"
        found, failed = await asyncio.to_thread(entries, images, kept)
        await self._intake.take_in(found)
        return self._intake.report(found, failed)

    def remove(self, images: str | Path | Iterable[str | Path]) -> None:
        """Forget images, or one, by id, path or URL; their files stay where they are.

        Raises:
            ConfigError: One of them is not in the collection.
        """
        known = self._records.stamps()
        named = [images] if isinstance(images, str | Path) else images
        self._intake.forget([self._id(image, known) for image in named])

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
        files = [Entry(source=r.source) for r in self._records if is_file(r.source)]
        self._intake.forget([entry.id for entry in files if not entry.stamp])
        there = [entry for entry in files if entry.stamp]
        wait_for(self._intake.take_in(there))
        self._intake.report(there, {})

    def __len__(self) -> int:
        """How many images it holds."""
        return len(self._records)

    def __getitem__(self, image: str | Path) -> ImageNode:
        """One image, by id, path or URL.

        Raises:
            ConfigError: It is not in the collection.
        """
        [record] = self._records.get([self._id(image, self._records.stamps())])
        return record.node

    def __iter__(self) -> Iterator[ImageNode]:
        """Its images as nodes, each with its caption as text."""
        return (record.node for record in self._records)

    def __contains__(self, image: object) -> bool:
        """Whether it holds an image, by id, path, URL or node."""
        return _known(image, self._records.stamps()) is not None

    def close(self) -> None:
        """Close its files; what is kept stays."""
        self._finalizer()

    def __enter__(self) -> Self:
        """`with` closes it at its end."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def _agree(self, name: str, value: str) -> None:
        before = self._records.fact(name, value)
        if before != value:
            raise ConfigError(
                f"{self.persist_dir} was made with {name}={before!r}, not {value!r}; open it with "
                "that one, or make another collection."
            )

    def _catch_up(self) -> None:
        """Vectors in memory don't know what another process wrote since it was read last."""
        if self._records.changed_elsewhere() and isinstance(self.vector_store, SimpleVectorStore):
            self.vector_store.add([record.node for record in self._records])

    def _fill_store(self) -> None:
        """A store that is new, or lost what it had, gets the vectors that are kept on disk."""
        first = self._records.first()
        if first is None:
            return
        known = VectorStoreQuery(query_embedding=first.embedding, similarity_top_k=1)
        # Each store has errors of its own for a collection that isn't there yet; what else is
        # wrong with a store, `add` says.
        with suppress(Exception):
            if self.vector_store.query(known).ids:
                return
        self.vector_store.add([record.node for record in self._records])


def _known(image: object, known: Container[str]) -> str | None:
    """The id of an image that is known, by id, path, URL or node."""
    name = image.node_id if isinstance(image, BaseNode) else image
    if not isinstance(name, str | Path):
        return None
    return next((one for one in (str(name), id_of(place_of(name))) if one in known), None)


def _shut(records: Records, captions: CaptionImages, passing: Path | None) -> None:
    captions.close()
    records.close()
    if passing is not None:
        shutil.rmtree(passing, ignore_errors=True)

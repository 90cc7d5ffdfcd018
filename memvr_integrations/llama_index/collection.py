"""`ImageCollectionIndex`: from a folder of images to something that can be searched."""

import asyncio
import shutil
import warnings
import weakref
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Self, TypedDict, Unpack

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.llms import LLM
from llama_index.core.schema import ImageNode
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import BasePydanticVectorStore, VectorStoreQuery
from tqdm.auto import tqdm

from memvr_integrations.errors import ConfigError, ImageError, MemVRWarning
from memvr_integrations.llama_index.asking import Askable
from memvr_integrations.llama_index.blocking import wait_for
from memvr_integrations.llama_index.captions import CAPTION_PROMPT, CaptionImages
from memvr_integrations.llama_index.embedding import WordEmbedding
from memvr_integrations.llama_index.images import (
    Entry,
    Metadata,
    Told,
    entries,
    in_folder,
    in_table,
)
from memvr_integrations.llama_index.llm import MemVRMultiModalLLM
from memvr_integrations.llama_index.records import Record, Records

if TYPE_CHECKING:
    import pandas as pd


class Options(TypedDict, total=False):
    """What all ways to make an `ImageCollectionIndex` take."""

    llm: LLM | None
    embed_model: BaseEmbedding | None
    vector_store: BasePydanticVectorStore | None
    caption_prompt: str
    batch_size: int
    show_progress: bool


class ImageCollectionIndex(Askable):
    """Images with captions that can be searched; kept on disk.

    Every image is described once by `llm` (with MemVR), and found by its description. What is
    finished is on disk at once: killed in the middle, it goes on where it was. `persist_dir` is a
    folder of its own; None keeps everything for as long as the object lives. `embed_model` is any
    embedding of LlamaIndex, offline word vectors by default; a `MultiModalEmbedding` embeds the
    pictures instead of their captions. `vector_store` holds the vectors: in memory by default, or
    for instance a `QdrantVectorStore`.

    Images that can't be read are left out with a warning; `failures` says why.

    Raises:
        ConfigError: `persist_dir` was made with another embedding or caption prompt.
    """

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
        self.llm = llm or MemVRMultiModalLLM()
        self.embed_model = embed_model or WordEmbedding()
        self.failures: dict[str, str] = {}
        self._batch_size, self._show_progress = batch_size, show_progress
        self.persist_dir = Path(persist_dir or mkdtemp(prefix="memvr-"))
        self.persist_dir.mkdir(parents=True, exist_ok=True)
        self._records = Records(self.persist_dir / "images.sqlite")
        self._agree("embed_model", self.embed_model.model_name)
        self._agree("caption_prompt", caption_prompt)
        self._captions = CaptionImages(
            llm=self.llm, prompt=caption_prompt, cache=self.persist_dir / "captions.sqlite"
        )
        passing = None if persist_dir else self.persist_dir
        self._finalizer = weakref.finalize(self, _shut, self._records, self._captions, passing)
        self.vector_store = vector_store or SimpleVectorStore()
        self._fill_store()

    @classmethod
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
        what is gone.

        Raises:
            ConfigError: There is no such folder, or no image in it.
        """
        found = in_folder(folder, recursive=recursive, metadata=metadata)
        index = cls(persist_dir, **options)
        wait_for(index._take_in(found))
        here, kept = Path(folder).resolve(), {entry.id for entry in found}
        index.remove(
            record.id
            for record in index._records
            if record.id not in kept and here in Path(record.source).parents
        )
        return index

    @classmethod
    def from_images(
        cls,
        images: Iterable[Told],
        *,
        persist_dir: str | Path | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """A collection of paths, URLs, bytes or Pillow images, each alone or with its metadata."""
        index = cls(persist_dir, **options)
        index.add(images)
        return index

    @classmethod
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

    def add(self, images: Iterable[Told]) -> list[str]:
        """Take in images; those that are there already and did not change cost nothing.

        Returns their ids; those of images that can't be read are left out.
        """
        return wait_for(self.aadd(images))

    async def aadd(self, images: Iterable[Told]) -> list[str]:
        """`add` for asyncio."""
        return await self._take_in(list(entries(images, self.persist_dir / "images")))

    def remove(self, images: Iterable[str | Path]) -> None:
        """Forget images, by id, path or URL; their files stay where they are.

        Raises:
            ConfigError: One of them is not in the collection.
        """
        known = self._records.stamps()
        ids = [self._id(image, known) for image in images]
        if ids:
            self.vector_store.delete_nodes(ids)
            self._records.remove(ids)

    def _id(self, image: str | Path, known: Container[str]) -> str:
        [entry] = entries([image], self.persist_dir)
        for one in (str(image), entry.id):
            if one in known:
                return one
        raise ConfigError(f"{str(image)!r} is not in this collection.")

    def refresh(self) -> None:
        """Look at every file again: describe what has changed, forget what is gone."""
        known = [Entry(source=r.source, metadata=r.metadata) for r in self._records]
        files = [entry for entry in known if entry.is_file]
        self.remove([entry.id for entry in files if not entry.stamp])
        wait_for(self._take_in([entry for entry in files if entry.stamp]))

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

    def close(self) -> None:
        """Close its files; what is kept stays."""
        self._finalizer()

    # Taking in.

    def _agree(self, name: str, value: str) -> None:
        before = self._records.fact(name, value)
        if before != value:
            raise ConfigError(
                f"{self.persist_dir} was made with {name}={before!r}, not {value!r}; open it with "
                "that one, or make another collection."
            )

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

    async def _take_in(self, found: Sequence[Entry]) -> list[str]:
        known = self._records.stamps()
        unique = {entry.id: entry for entry in found}
        new = [
            entry
            for entry in unique.values()
            if known.get(entry.id) != (entry.stamp, dict(entry.metadata))
        ]
        failed: list[str] = []
        with tqdm(total=len(new), disable=not self._show_progress, unit="image") as bar:
            for start in range(0, len(new), self._batch_size):
                batch = new[start : start + self._batch_size]
                failed += await self._take_in_batch(batch, known)
                bar.update(len(batch))
        if failed:
            warnings.warn(
                f"{len(failed)} of {len(unique)} images could not be read and were left out, the "
                f"first: {self.failures[failed[0]]} See the collection's `failures`.",
                MemVRWarning,
                stacklevel=2,
            )
        return [one for one, entry in unique.items() if entry.source not in self.failures]

    async def _take_in_batch(self, batch: Sequence[Entry], known: Container[str]) -> list[str]:
        """Describe some images and keep them; returns the sources of those that failed."""
        told = await asyncio.gather(*map(self._describe, batch))
        failed = [e.source for e, one in zip(batch, told, strict=True) if one is None]
        records = [one for one in told if one is not None]
        if records:
            vectors = await self._embed(records)
            records = [replace(r, embedding=v) for r, v in zip(records, vectors, strict=True)]
            old = [record.id for record in records if record.id in known]
            if old:
                self.vector_store.delete_nodes(old)
            self.vector_store.add([record.node for record in records])
            self._records.put(records)
        return failed

    async def _describe(self, entry: Entry) -> Record | None:
        stamp = entry.stamp  # before the file is read: what changes meanwhile is seen next time
        try:
            source = Path(entry.source) if entry.is_file else entry.source
            caption = await self._captions.caption(source)
        except ImageError as error:
            self.failures[entry.source] = str(error)
            return None
        self.failures.pop(entry.source, None)
        return Record(
            id=entry.id,
            source=entry.source,
            stamp=stamp,
            caption=caption,
            embedding=[],
            metadata=dict(entry.metadata),
        )

    async def _embed(self, records: Sequence[Record]) -> list[list[float]]:
        if isinstance(self.embed_model, MultiModalEmbedding):
            return [await self.embed_model.aget_image_embedding(r.source) for r in records]
        return await self.embed_model.aget_text_embedding_batch([r.caption for r in records])


def _shut(records: Records, captions: CaptionImages, passing: Path | None) -> None:
    captions.close()
    records.close()
    if passing is not None:
        shutil.rmtree(passing, ignore_errors=True)

"""The images of a collection: taken in, described, embedded and kept, or said why not."""

import asyncio
import io
import json
import shutil
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Protocol

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.llms import LLM
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import BasePydanticVectorStore
from tqdm.auto import tqdm

from memvr_integrations.backend.images import encoded_image
from memvr_integrations.checks import check_integer, check_kind, check_text
from memvr_integrations.errors import ConfigError, ImageError
from memvr_integrations.grounding.collections.describing import (
    DESCRIPTIONS,
    Describer,
    Describing,
    Description,
)
from memvr_integrations.grounding.collections.kept_captions import Caption, KeptCaptions
from memvr_integrations.grounding.collections.keywords import KeywordIndex
from memvr_integrations.grounding.collections.metadata import Metadata
from memvr_integrations.grounding.collections.sources import Entry, file_of, is_file
from memvr_integrations.llama_index.llm import MemVRMultiModalLLM
from memvr_integrations.llama_index.store.captions import CaptionImages
from memvr_integrations.llama_index.store.embedding import WordEmbedding
from memvr_integrations.llama_index.store.records import Record, Records
from memvr_integrations.llama_index.store.vectors import Vectors, check_store
from memvr_integrations.wire.warning import warn


class Shelf:
    """What a collection holds: records, captions and vectors, which go in and out together.

    Its files are closed by `close`, or when nobody holds it any more.
    """

    def __init__(
        self,
        persist_dir: str | Path | None,
        *,
        llm: LLM | None,
        embed_model: BaseEmbedding | None,
        vector_store: BasePydanticVectorStore | None,
        caption_prompt: str,
        descriptions: int | None,
        facets: Mapping[str, str] | None,
        batch_size: int,
        show_progress: bool,
    ) -> None:
        """`batch_size` images are described together, and are on disk before the next ones."""
        check_kind("llm", llm, LLM | None, "MemVRMultiModalLLM(model=...), or None")
        check_kind("embed_model", embed_model, BaseEmbedding | None, "WordEmbedding(), or None")
        check_store(vector_store)
        check_text("caption_prompt", caption_prompt)
        check_integer("batch_size", batch_size, least=1)
        self.llm = llm or MemVRMultiModalLLM()
        asked = _describing(self.llm, caption_prompt, descriptions, facets)
        self.folder = _folder_of(persist_dir)
        self.embed_model = embed_model or WordEmbedding()
        self.records = Records(self.folder / "images.sqlite")
        self.vectors = Vectors(vector_store or SimpleVectorStore(), self.records)
        self.captions = CaptionImages(
            llm=self.llm, prompt=caption_prompt, cache=self.folder / "captions.sqlite"
        )
        self._describer = _describer(self.llm, asked, self.folder / "captions.sqlite")
        passing = None if persist_dir else self.folder
        held = (self.records, self.captions, self._describer)
        self.close = weakref.finalize(self, _shut, held, passing)
        self._batch_size, self._show_progress = batch_size, show_progress
        self.failures: dict[str, str] = {}
        self._facets = tuple(asked.facets)
        self._words: tuple[tuple[int, int], KeywordIndex] | None = None
        self._agree("embed_model", self.embed_model.model_name)
        self._agree("caption_prompt", caption_prompt)
        self._agree_on_facets(asked.facets)
        self.vectors.fill()

    def _agree(self, name: str, value: str) -> None:
        before = self.records.fact(name, value)
        if before != value:
            raise ConfigError(
                f"{self.folder} was made with {name}={before!r}, not {value!r}; open it with "
                "that one, or make another collection."
            )

    def _agree_on_facets(self, facets: Mapping[str, str]) -> None:
        asked = json.dumps(dict(facets), sort_keys=True)
        if len(self.records):  # made before there were facets, it has none
            self.records.fact("facets", "{}")
        self._agree("facets", asked)

    @property
    def words(self) -> KeywordIndex:
        """The search by words, over what the collection holds now."""
        state = self.records.state
        if self._words is None or self._words[0] != state:
            texts = {record.id: record.words or record.caption for record in self.records}
            self._words = state, KeywordIndex(texts)
        return self._words[1]

    async def take_in(self, entries: Sequence[Entry]) -> None:
        """Describe what is new or changed; what changed and can't be read any more is forgotten."""
        self.vectors.mend()
        known = self.records.stamps()
        changed: list[Entry] = []
        relabelled: dict[str, Metadata] = {}
        for entry in {entry.id: entry for entry in entries}.values():
            stamp, before = known.get(entry.id, (None, {}))
            kept = replace(entry, metadata=self._labels(entry, before))
            if stamp is None or stamp != entry.stamp:
                changed.append(kept)
            elif kept.metadata != before:
                relabelled[entry.id] = kept.metadata or {}
        if same := self.records.get(list(relabelled)):
            self.vectors.put([replace(one, metadata=relabelled[one.id]) for one in same])
        with tqdm(total=len(changed), disable=not self._show_progress, unit="image") as bar:
            for start in range(0, len(changed), self._batch_size):
                batch = changed[start : start + self._batch_size]
                await self._take_in_batch(batch)
                bar.update(len(batch))

    def _labels(self, entry: Entry, before: Metadata) -> Metadata:
        """What is said of an image now: facets are the model's, and stay."""
        if entry.metadata is None:
            return before
        facets = {name: before[name] for name in self._facets if name in before}
        return {**entry.metadata, **facets}

    def report(self, entries: Sequence[Entry], failed: Mapping[str, str]) -> list[str]:
        """Warn of what was left out, `failed` beside what `take_in` found; returns the others' ids.

        Apart from `take_in`, so that the warning points to the caller's line.
        """
        unique = {entry.source: entry.id for entry in entries}
        missing = [source for source in unique if source in self.failures]
        for number in [one for one in self.failures if one.startswith("image ")]:
            del self.failures[number]  # of an earlier call, whose images had other numbers
        self.failures |= failed
        if left_out := [*failed, *missing]:
            warn(
                f"{len(left_out)} of {len(unique) + len(failed)} images could not be read and were "
                f"left out, the first: {self.failures[left_out[0]].rstrip('.')}. See the "
                "collection's `failures`."
            )
        return [one for source, one in unique.items() if source not in self.failures]

    def forget(self, ids: Sequence[str]) -> None:
        """Forget images, by id."""
        if ids:
            self.vectors.remove(ids)

    async def _take_in_batch(self, batch: Sequence[Entry]) -> None:
        described = await asyncio.gather(*map(self._describe, batch))
        records = [one for one in described if one is not None]
        if records:
            vectors = await self._embed(records)
            found = zip(records, vectors, strict=True)
            self.vectors.put([replace(record, embedding=vector) for record, vector in found])
        lost = [entry.id for entry, one in zip(batch, described, strict=True) if one is None]
        self.forget([record.id for record in self.records.get(lost)])

    async def _describe(self, entry: Entry) -> Record | None:
        stamp = entry.stamp  # before the file is read: what changes meanwhile is seen next time
        place = Path(entry.source) if is_file(entry.source) else entry.source
        try:
            picture = await self.captions.picture(place)
            caption = Caption(text=await self.captions.caption(picture))
        except ImageError as error:
            self.failures[entry.source] = str(error)
            return None
        said = Description(caption=caption, others=(), facets={})
        if self._describer is not None:
            said = await self._describer.beside(picture, caption)
        for place in (entry.source, file_of(entry.source)):
            self.failures.pop(place, None)
        return Record(
            id=entry.id,
            source=entry.source,
            stamp=stamp,
            caption=caption.text,
            embedding=[],
            metadata=dict(entry.metadata or {}) | said.facets,
            words=said.words,
        )

    async def _embed(self, records: Sequence[Record]) -> list[list[float]]:
        if not isinstance(self.embed_model, MultiModalEmbedding):
            return await self.embed_model.aget_text_embedding_batch([r.caption for r in records])
        return [await self.embed_picture(self.embed_model, r.source) for r in records]

    async def embed_picture(self, model: MultiModalEmbedding, source: str) -> list[float]:
        """A picture's vector: core's embeddings read files, but what URLs may be read we know."""
        if is_file(source) and file_of(source) == source:  # no page of a PDF
            return await model.aget_image_embedding(source)
        picture = await self.captions.picture(Path(source) if is_file(source) else source)
        data, _ = await asyncio.to_thread(encoded_image, picture)
        return await model.aget_image_embedding(io.BytesIO(data))


def _folder_of(persist_dir: str | Path | None) -> Path:
    check_kind("persist_dir", persist_dir, str | Path | None, "a folder of its own, or None")
    folder = Path(persist_dir or mkdtemp(prefix="memvr-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise ConfigError(
            f"persist_dir={str(folder)!r} can't be made: {problem}; give a folder of its own."
        ) from problem
    return folder


def _describing(
    llm: LLM, prompt: str, descriptions: int | None, facets: Mapping[str, str] | None
) -> Describing:
    """What is asked of every picture; other LLMs are asked for captions alone."""
    ours = isinstance(llm, MemVRMultiModalLLM)
    count = (DESCRIPTIONS if ours else 0) if descriptions is None else descriptions
    if not ours and (count or facets):
        raise ConfigError(
            f"A {type(llm).__name__} writes captions alone; give llm=MemVRMultiModalLLM(...) for "
            "descriptions= and facets=, or leave them out."
        )
    return Describing(prompt=prompt, descriptions=count, facets=facets or {})


def _describer(llm: LLM, asked: Describing, file: Path) -> Describer | None:
    if not isinstance(llm, MemVRMultiModalLLM):
        return None
    return Describer(llm, asked, KeptCaptions(file))


class _Held(Protocol):
    def close(self) -> None: ...


def _shut(held: Sequence[_Held | None], passing: Path | None) -> None:
    for one in held:
        if one is not None:
            one.close()
    if passing is not None:
        shutil.rmtree(passing, ignore_errors=True)

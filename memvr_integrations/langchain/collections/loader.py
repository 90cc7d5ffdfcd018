"""`ImageLoader`: from a folder, a table or a PDF of pictures to documents that can be searched."""

import asyncio
import functools
import inspect
import json
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, get_args

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document
from tqdm.auto import tqdm

from memvr_integrations.backend.images import read_image
from memvr_integrations.checks import check_choice, check_integer, check_kind
from memvr_integrations.errors import ConfigError, ImageError
from memvr_integrations.grounding.captions import CAPTION_PROMPT
from memvr_integrations.grounding.collections.describing import (
    DESCRIPTIONS,
    Describer,
    Describing,
    Description,
)
from memvr_integrations.grounding.collections.kept_captions import KeptCaptions
from memvr_integrations.grounding.collections.sources import (
    Entry,
    Given,
    entries,
    file_of,
    in_folder,
    is_file,
)
from memvr_integrations.grounding.collections.tables import TABLES, rows_of
from memvr_integrations.langchain.chat import ChatMemVR
from memvr_integrations.langchain.collections.pictures import document_of
from memvr_integrations.langchain.failures import langchain_errors
from memvr_integrations.types import Completion, ReadImage, Request, Usage
from memvr_integrations.types.engine import Engine
from memvr_integrations.wire.blocking import wait_for
from memvr_integrations.wire.warning import warn

OnError: TypeAlias = Literal["skip", "raise"]


class Checked(Protocol):
    """What a check of a caption gives."""

    def to_dict(self) -> Mapping[str, object]:
        """It as plain values that JSON can hold."""


Check: TypeAlias = Callable[[Engine, Request, Completion], Checked | Awaitable[Checked]]
"""Checks an answer to a request, as `memvr_integrations.grounding.verify` does."""


class ImageLoader(BaseLoader):
    """Pictures as documents: the caption is the text, the metadata says where the picture is.

    `source` is a folder, a table (CSV, TSV, Parquet), a PDF (extra `pdf`), a picture, or a list of
    paths, URLs, bytes and Pillow images, each alone or with its metadata. Every picture is
    described by `model`: once in a caption, and `descriptions` times more in samples, which name
    what the caption leaves out; `facets` are questions by name whose answers become metadata.

    Metadata: `source`, `page` (of a PDF), `width`, `height`, `unsureness` (0 to 1), `descriptions`,
    the facets, `checked` (JSON, where there is a `verify`), and what the table says.

    What is done is kept in `cache`, a file, by pixels, prompt and model: stopped in the middle,
    it goes on where it was. `keep` is a folder for pictures that are in no file yet. Pictures that
    can't be read are left out with a warning (`failures` says why); `on_error="raise"` stops at
    the first.

    Raises:
        ConfigError: An option is wrong, or there is nothing of that name.
    """

    def __init__(
        self,
        source: "str | Path | Iterable[Given]",
        *,
        model: ChatMemVR,
        prompt: str = CAPTION_PROMPT,
        descriptions: int = DESCRIPTIONS,
        facets: Mapping[str, str] | None = None,
        verify: Check | None = None,
        cache: str | Path | None = None,
        keep: str | Path | None = None,
        recursive: bool = True,
        image_column: str = "image",
        batch_size: int = 16,
        show_progress: bool = False,
        on_error: OnError = "skip",
    ) -> None:
        """Nothing is read before `load`, `lazy_load` or `alazy_load`."""
        with langchain_errors():
            check_kind("model", model, ChatMemVR, "ChatMemVR(model=...)")
            check_integer("batch_size", batch_size, least=1)
            check_choice("on_error", on_error, get_args(OnError))
            self._asked = Describing(
                prompt=prompt, descriptions=descriptions, facets=dict(facets or {})
            )
        self._source, self._model, self._verify = source, model, verify
        self._cache = None if cache is None else Path(cache)
        self._keep = None if keep is None else Path(keep)
        self._recursive, self._column = recursive, image_column
        self._batch_size, self._show_progress, self._on_error = batch_size, show_progress, on_error
        self.failures: dict[str, str] = {}

    def lazy_load(self) -> Iterator[Document]:
        """The documents, a batch of pictures at a time.

        Raises:
            ImageError: A picture can't be used, with `on_error="raise"`.
            MemVRError: As the model does.
        """
        with langchain_errors(), closing(KeptCaptions(self._cache)) as kept, self._bar() as bar:
            describer = Describer(self._model, self._asked, kept)
            for batch in self._batches():
                yield from wait_for(self._described(describer, batch))
                bar.update(len(batch))
        self._report()

    async def alazy_load(self) -> AsyncIterator[Document]:
        """`lazy_load` for asyncio."""
        with langchain_errors(), closing(KeptCaptions(self._cache)) as kept, self._bar() as bar:
            describer, batches = Describer(self._model, self._asked, kept), self._batches()
            while batch := await asyncio.to_thread(next, batches, None):
                for document in await self._described(describer, batch):
                    yield document
                bar.update(len(batch))
        self._report()

    # Which pictures.

    def _batches(self) -> Iterator[list[Entry]]:
        self.failures = {}
        found = self._entries()
        while batch := list(islice(found, self._batch_size)):
            yield batch

    def _entries(self) -> Iterator[Entry]:
        source, policy = self._source, self._model._policy()
        if isinstance(source, str | Path) and is_file(str(source)):
            path = Path(source)
            if not Path(file_of(str(source))).exists():
                raise ConfigError(
                    f"{path} is not there; give a folder, a table, a PDF or a picture."
                )
            if path.is_dir():
                folder = in_folder(path, recursive=self._recursive, metadata=None, policy=policy)
                yield from self._taken(*folder)
                return
            if path.suffix.lower() in TABLES:
                source = rows_of(path, self._column)
        if not isinstance(source, Iterator):
            yield from self._taken(*entries(source, self._keep, policy))
            return
        for at, row in enumerate(source):  # one by one: a table may be long
            found, failed = entries([row], self._keep, policy)
            yield from self._taken(found, {f"image {at}": why for why in failed.values()})

    def _taken(self, found: Sequence[Entry], failed: Mapping[str, str]) -> Sequence[Entry]:
        for place, why in failed.items():
            self._failed(place, ImageError(why))
        return found

    def _failed(self, place: str, error: ImageError) -> None:
        if self._on_error == "raise":
            raise error
        self.failures[place] = str(error)

    # What is said of them.

    async def _described(self, describer: Describer, batch: Sequence[Entry]) -> list[Document]:
        made = await asyncio.gather(*(self._document(describer, entry) for entry in batch))
        return [document for document in made if document is not None]

    async def _document(self, describer: Describer, entry: Entry) -> Document | None:
        place = Path(entry.source) if is_file(entry.source) else entry.source
        try:
            picture = await asyncio.to_thread(read_image, place, self._model._policy())
        except ImageError as error:
            self._failed(entry.source, error)
            return None
        said = await describer.describe(picture)
        return document_of(entry, picture, said, await self._checked(describer, picture, said))

    async def _checked(
        self, describer: Describer, picture: ReadImage, said: Description
    ) -> str | None:
        check = self._verify
        if check is None:
            return None

        async def verdict() -> str:
            engine, request = await self._model._aengine({}), describer.request(picture)
            answer = said.completion or _kept_answer(engine, said)
            if inspect.iscoroutinefunction(check):
                found = await check(engine, request, answer)
            else:
                found = await asyncio.to_thread(check, engine, request, answer)
                found = await found if inspect.isawaitable(found) else found
            return json.dumps(found.to_dict())

        name = _stable_name(check)
        return await describer.note(picture, "checked", name, text=verdict)

    def _bar(self) -> "tqdm[object]":
        return tqdm(disable=not self._show_progress, unit="image", desc="Describing")

    def _report(self) -> None:
        if self.failures:
            place, why = next(iter(self.failures.items()))
            warn(
                f"{len(self.failures)} image(s) could not be read and were left out, the first, "
                f"{place}: {why.rstrip('.')}. See the loader's `failures`."
            )


def _stable_name(check: object) -> str:
    """A check with its settings, by a name that is the same in every process."""
    if isinstance(check, functools.partial):
        given = [*map(repr, check.args), *(f"{k}={v!r}" for k, v in sorted(check.keywords.items()))]
        return f"{_stable_name(check.func)}({', '.join(given)})"
    named = check if inspect.isroutine(check) else type(check)
    return f"{named.__module__}.{named.__qualname__}"


def _kept_answer(engine: Engine, said: Description) -> Completion:
    """A caption that was kept, as the answer that it was; its tokens are gone."""
    usage = Usage(prompt_tokens=0, image_tokens=0, completion_tokens=0)
    return Completion(
        text=said.caption.text,
        finish_reason="stop",
        usage=usage,
        tokens=(),
        model=engine.name,
        memvr=None,
    )

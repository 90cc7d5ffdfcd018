"""Pages to browse: every question with its picture, what is right, and all answers.

A page holds at most `PAGE_QUESTIONS` questions and about `PAGE_BYTES` bytes, pictures included;
what doesn't fit goes onto further pages, which lie beside it.
"""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import PIL.Image
from tqdm import tqdm

from memvr_integrations.evaluate.running.report.asked import Asked
from memvr_integrations.evaluate.running.report.filters import filters, flips
from memvr_integrations.evaluate.running.report.frame import framed, part
from memvr_integrations.evaluate.running.report.sections import section
from memvr_integrations.evaluate.running.report.thumbnails import thumbnail

PAGE_QUESTIONS = 500
PAGE_BYTES = 4_000_000
_TEXT_BYTES, _PICTURE_BYTES = PAGE_BYTES * 3 // 8, PAGE_BYTES * 9 // 16
_PICTURES = 4  # of a question, shown; more are counted


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page's questions, numbered from 1 over all pages, and their sections as HTML."""

    number: int
    first: int
    asked: tuple[Asked, ...]
    sections: tuple[str, ...]

    @property
    def file(self) -> str:
        """Its name; all lie in one folder."""
        return "questions.html" if self.number == 1 else f"questions-{self.number}.html"

    @property
    def last(self) -> int:
        """The number of its last question."""
        return self.first + len(self.asked) - 1


def paged(asked: Sequence[Asked]) -> list[Page]:
    """Questions in their order, as many on each page as it may hold."""
    pages: list[Page] = []
    held, sections, size, first = list[Asked](), list[str](), 0, 1
    for one in asked:
        made = section(one)
        more = len(made.encode("utf-8", "replace"))
        if held and (len(held) == PAGE_QUESTIONS or size + more > _TEXT_BYTES):
            pages.append(_page(pages, first, held, sections))
            held, sections, size, first = [], [], 0, pages[-1].last + 1
        held.append(one)
        sections.append(made)
        size += more
    return [*pages, _page(pages, first, held, sections)] if held else pages


def _page(before: Sequence[Page], first: int, asked: Sequence[Asked], made: Sequence[str]) -> Page:
    return Page(number=len(before) + 1, first=first, asked=tuple(asked), sections=tuple(made))


def write_pages(
    folder: Path, pages: Sequence[Page], title: str, *, unsure: float, progress: bool
) -> None:
    """Write all pages, and remove those that an earlier evaluation in the folder had beyond them.

    `unsure` is the unsureness above which an answer counts as unsure at first.
    """
    for page in tqdm(pages, desc="Writing questions", disable=not progress):
        body = (
            f"<h1>Questions of {html.escape(title)}</h1>\n"
            '<p><a href="report.html">To the figures</a></p>\n'
            f"{links(pages, page)}{filters(page.asked, unsure=unsure, pages=len(pages))}"
            f"{''.join(_cards(page))}{links(pages, page)}"
        )
        text = framed(f"Questions of {title}", body, script=part("browse.js"))
        # An answer may hold half a character, which UTF-8 has no bytes for.
        (folder / page.file).write_bytes(text.encode("utf-8", "replace"))
    kept = {page.file for page in pages}
    for old in folder.glob("questions*.html"):
        if re.fullmatch(r"questions(-\d+)?\.html", old.name) and old.name not in kept:
            old.unlink()


def links(pages: Sequence[Page], current: Page | None = None) -> str:
    """The way to all pages; none where there is but the one that is shown."""
    if pages and current is not None and len(pages) == 1:
        return ""
    shown = []
    for page in pages:
        here = ' aria-current="page"' if page is current else ""
        shown.append(f'<a href="{page.file}"{here}>{page.first}-{page.last}</a>')
    return f'<nav class="pages" aria-label="Pages of questions">Questions {" ".join(shown)}</nav>\n'


def way_to(asked: Sequence[Asked], pages: Sequence[Page]) -> str:
    """What leads from the figures to the questions."""
    if not pages:
        return ""
    return f"<h2>The questions</h2>\n{links(pages)}{flips(asked, pages[0].file)}"


def _cards(page: Page) -> Iterator[str]:
    """A card for every run of questions about the same pictures."""
    both = list(zip(page.asked, page.sections, strict=True))
    runs = [list(run) for _, run in groupby(both, lambda pair: _keys(pair[0]))]
    count = sum(min(len(run[0][0].images), _PICTURES) for run in runs)
    most = _PICTURE_BYTES * 3 // 4 // max(count, 1)  # they grow by a third in base64
    for run in runs:
        sections = "".join(made for _, made in run)
        yield (
            f'<article class="card"><div class="pictures">{_pictures(run[0][0].images, most)}'
            f"</div><div>{sections}</div></article>\n"
        )


def _keys(asked: Asked) -> list[str]:
    return [str(one) if isinstance(one, Path) else str(id(one)) for one in asked.images]


def _pictures(images: Sequence[Path | PIL.Image.Image], most: int) -> str:
    if not images:
        return '<p class="note">no picture</p>'
    more = len(images) - _PICTURES
    return "".join(_figure(one, most) for one in images[:_PICTURES]) + (
        f'<p class="note">and {more} more</p>' if more > 0 else ""
    )


def _figure(image: Path | PIL.Image.Image, most: int) -> str:
    name = image.name if isinstance(image, Path) else ""
    shown = thumbnail(image, most, alt=name or "the picture that is asked about")
    caption = f"<figcaption><bdi>{html.escape(name)}</bdi></figcaption>" if name else ""
    return f"<figure>{shown}{caption}</figure>"

"""Pages of PDF files as pictures, one at a time, within the limits of an `ImagePolicy`.

A page is named by a path that ends as links to pages do: `Path("report.pdf#page=3")`.
"""

import ctypes
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from memvr_integrations.errors import ImageError
from memvr_integrations.types.image_policy import ImagePolicy

if TYPE_CHECKING:
    from pypdfium2 import PdfBitmap, PdfDocument, PdfPage

_PAGE = re.compile(r"(.+\.pdf)#page=(\d{1,9})", re.IGNORECASE | re.DOTALL)
_POINTS = 72  # to an inch
_LEAST = 1.0  # pixels of a side

# PDFium keeps its state in the process, and two threads in it at once crash.
_ALONE = threading.Lock()


def is_pdf(path: str | Path) -> bool:
    """Whether a file is called as PDFs are."""
    return str(path).lower().endswith(".pdf")


def page_of(path: str | Path) -> tuple[Path, int] | None:
    """The file and the number of a page, from 1 on; None for any other path.

    A file that is really called "report.pdf#page=3" is a file.
    """
    match = _PAGE.fullmatch(str(path))
    if match is None or Path(path).exists():
        return None
    return Path(match[1]), int(match[2])


def page_path(file: str | Path, number: int) -> Path:
    """How a page is named, from 1 on."""
    return Path(f"{file}#page={number}")


def count_pages(data: bytes, name: str) -> int:
    """How many pages a PDF has.

    Raises:
        ImageError: It is encrypted or damaged, or has none.
    """
    with _opened(data, name) as document:
        return len(document)


def render_page(data: bytes, number: int, name: str, policy: ImagePolicy) -> Image.Image:
    """One page, from 1 on, as RGB on white; a scan in no more pixels than it has.

    Raises:
        ImageError: The file is encrypted or damaged, or has no such page; or the page is above a
            limit of the policy.
    """
    with _opened(data, name) as document:
        if not 1 <= number <= len(document):
            raise ImageError(f"{name} is not there: the file has {len(document)} page(s)")
        try:
            with closing(document[number - 1]) as page:
                _check_pictures(page, name, policy)
                size = _pixels(page, name, policy)
                return _rendered(page, size, name, policy)
        except ImageError:
            raise
        except _pdfium_error() as problem:
            raise ImageError(
                f"{name} can't be rendered ({problem}): the page is damaged; leave it out, or "
                "save the file again"
            ) from problem


@contextmanager
def _opened(data: bytes, name: str) -> "Iterator[PdfDocument]":
    failed = _pdfium_error()
    from pypdfium2 import PdfDocument
    from pypdfium2.raw import FPDF_ERR_PASSWORD

    with _ALONE:
        try:
            document = PdfDocument(data)
        except failed as problem:
            if getattr(problem, "err_code", None) == FPDF_ERR_PASSWORD:
                raise ImageError(
                    f"{name} is encrypted, and no password is asked for; save it without one"
                ) from problem
            raise ImageError(
                f"{name} is no PDF that can be read ({problem}): it is damaged or incomplete; get "
                "it again"
            ) from problem
        with closing(document):
            if not len(document):
                raise ImageError(f"{name} has no pages; check what wrote it")
            yield document


def _pdfium_error() -> type[Exception]:
    try:
        from pypdfium2 import PdfiumError
    except ModuleNotFoundError as missing:
        raise ImageError(
            "Pages of PDFs need pypdfium2: pip install -e '.[pdf]' in a checkout, or save the "
            "pages as pictures."
        ) from missing
    return PdfiumError  # type: ignore[no-any-return]  # where it isn't installed, mypy sees none


def _check_pictures(page: "PdfPage", name: str, policy: ImagePolicy) -> None:
    """Refuse a page that holds a larger picture than the policy lets in: it would be decoded."""
    from pypdfium2 import raw

    for picture in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE]):
        width, height = picture.get_px_size()
        if width * height > policy.max_pixels:
            raise ImageError(
                f"{name} holds a picture of {width} x {height} pixels, above "
                f"max_pixels={policy.max_pixels}; leave it out, or raise ImagePolicy.max_pixels"
            )


def _pixels(page: "PdfPage", name: str, policy: ImagePolicy) -> tuple[int, int]:
    """The size that a page is rendered at: as large as the policy has it, a scan no larger."""
    width, height = page.get_size()
    if not (width > 0 and height > 0):
        raise ImageError(f"{name} has no size ({width:g} x {height:g} points); leave it out")
    longest = min(policy.page_side, _scanned(page) or policy.page_side)
    scale = longest / max(width, height)
    return round(max(_LEAST, width * scale)), round(max(_LEAST, height * scale))


def _scanned(page: "PdfPage") -> int | None:
    """The longer side, in pixels, of the picture that is all of a page; None for other pages."""
    from pypdfium2 import PdfImage, raw

    if raw.FPDFPage_CountObjects(page) != 1:
        return None
    [only] = page.get_objects(max_depth=1)
    if not isinstance(only, PdfImage):
        return None
    left, bottom, right, top = only.get_bounds()
    width, height = page.get_size()
    covered = (right - left) * (top - bottom) >= 0.9 * width * height
    return max(only.get_px_size()) or None if covered else None


def _rendered(
    page: "PdfPage", size: tuple[int, int], name: str, policy: ImagePolicy
) -> Image.Image:
    """The page's pixels; rendering stops between two of its objects when its time is over."""
    from pypdfium2 import PdfBitmap, raw

    from memvr_integrations.backend.images.pixels import check_size

    check_size(size, name, policy)  # before there is memory for it
    bitmap: PdfBitmap = PdfBitmap.new_native(*size, raw.FPDFBitmap_BGRx)
    with closing(bitmap):
        bitmap.fill_rect((255, 255, 255, 255), 0, 0, *size)
        if not _rendered_in_time(page, bitmap, policy.timeout):
            raise ImageError(
                f"{name} takes longer to render than timeout={policy.timeout:g} seconds; leave it "
                "out, or raise ImagePolicy.timeout"
            )
        shown: Image.Image = bitmap.to_pil().convert("RGB")
        return shown.copy()


def _rendered_in_time(page: "PdfPage", bitmap: "PdfBitmap", seconds: float) -> bool:
    from pypdfium2 import raw

    ends = time.monotonic() + seconds
    paused = type(raw.IFSDK_PAUSE().NeedToPauseNow)
    pause = raw.IFSDK_PAUSE(version=1)
    pause.NeedToPauseNow = paused(lambda _: int(time.monotonic() > ends))
    place = (0, 0, bitmap.width, bitmap.height, 0)
    flags = raw.FPDF_ANNOT
    status = raw.FPDF_RenderPageBitmap_Start(bitmap, page, *place, flags, ctypes.byref(pause))
    raw.FPDF_RenderPage_Close(page)
    return bool(status == raw.FPDF_RENDER_DONE)

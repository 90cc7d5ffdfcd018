"""From encoded bytes or an array to pixels: what it is, whether it is safe, how it is meant."""

import codecs
import io
import re
import warnings
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

from memvr_integrations.errors import ImageError, MemVRWarning
from memvr_integrations.types.image_policy import ImagePolicy

# An encoder writes about ten. Each may take 75 bytes and cost a pass over all pixels, so
# max_bytes alone would let a file through that decodes for hours.
_MAX_JPEG_SCANS, _MAX_JPEG_PARTS = 100, 10_000
# Pillow reads chunks, segments, blocks and run lengths in Python, one by one: a file of nothing
# else would take minutes. Whole pictures are read in pieces of 255 bytes or more.
_MAX_READS, _LEAST_PIECE = 300_000, 64
_MAX_PLAIN = 4 * 2**20  # bytes of numbers written as text, which are decoded in Python as well
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

_LONGEST = 200  # characters of another's error in one of ours

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
# The first match wins, so a brand stands before the container that it is a case of.
_SIGNATURES: tuple[tuple[str, int, tuple[bytes, ...]], ...] = (
    ("PNG", 0, (b"\x89PNG\r\n\x1a\n",)),
    ("JPEG", 0, (b"\xff\xd8\xff",)),
    ("WEBP", 8, (b"WEBP",)),
    ("GIF", 0, (b"GIF8",)),
    ("BMP", 0, (b"BM",)),
    ("TIFF", 0, (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    ("PPM", 0, tuple(b"P%d%c" % (digit, space) for digit in range(1, 7) for space in b"\n\r\t ")),
    ("AVIF", 4, (b"ftypavi",)),
    ("HEIC", 4, (b"ftyphe", b"ftypmif1", b"ftypmsf1")),
    ("audio", 4, (b"ftypM4A",)),
    ("audio", 8, (b"WAVE",)),
    ("audio", 0, (b"ID3", b"\xff\xfb", b"OggS", b"fLaC")),
    ("video", 4, (b"ftyp",)),
    ("video", 8, (b"AVI ",)),
    ("video", 0, (b"\x1aE\xdf\xa3", b"\0\0\x01\xba")),
    ("an ICO icon", 0, (b"\0\0\x01\0",)),
    ("PDF", 0, (b"%PDF",)),
    ("PostScript", 0, (b"%!PS",)),
    ("a Photoshop file", 0, (b"8BPS",)),
    ("JPEG 2000", 0, (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")),
    ("JPEG XL", 0, (b"\xff\x0a", b"\0\0\0\x0cJXL ")),
    ("a zip archive or an office document", 0, (b"PK\x03\x04",)),
    ("a gzip archive", 0, (b"\x1f\x8b",)),
    ("a Git LFS pointer, not the file itself", 0, (b"version https://git-lfs",)),
)


# Pillow warns of each damaged tag, in up to 65,000 lines for one picture, and keeps the lines.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.\w+ImagePlugin")

MediaType = Literal["image/jpeg", "image/png"]
_PLAIN: dict[str, MediaType] = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png"}

_GREY_STEPS = {"L;2": 85, "L;4": 17}  # between greys of that many bits, once they have eight


def _kind(data: bytes) -> str:
    for kind, offset, magics in _SIGNATURES:
        if data.startswith(magics, offset):
            # A "mif1" container holds either; the brands it is compatible with say which.
            return "AVIF" if kind == "HEIC" and b"avif" in data[8:64] else kind
    try:
        # Incremental, because the cut may fall inside a character.
        head = codecs.getincrementaldecoder("utf-8-sig")().decode(data[:1024]).lower()
    except UnicodeDecodeError:
        head = "\0"
    if "<svg" in head:
        return "SVG"
    if head.lstrip().startswith(("<!doctype html", "<html")):
        return "HTML"
    return "text" if "".join(head.split()).isprintable() else "no format that is known here"


def _check_jpeg(data: bytes, name: str) -> None:
    scans, parts, position = 0, 0, 2
    while marker := _JPEG_MARKER.search(data, position):
        kind, position = marker[0][1], marker.end()
        # Phones append videos after the end: what seems a scan there is none.
        if kind == 0xD9:
            break
        parts += 1
        scans += kind == 0xDA
        if scans > _MAX_JPEG_SCANS or parts > _MAX_JPEG_PARTS:
            raise ImageError(
                f"{name} is a JPEG of more than {_MAX_JPEG_SCANS} scans or {_MAX_JPEG_PARTS} "
                "parts, made to stall a decoder; save it again as a baseline JPEG"
            )
        position += int.from_bytes(data[position : position + 2], "big")


class _Reader(io.BytesIO):
    """An encoded picture that may be read in a bounded number of pieces."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self._name, self._left = name, max(_MAX_READS, len(data) // _LEAST_PIECE)

    def read(self, size: int | None = -1, /) -> bytes:
        """A piece; ImageError where there were too many."""
        self._left -= 1
        if self._left < 0:
            raise ImageError(
                f"{self._name} is made of too many small parts, as if to stall a decoder; "
                "save it again, as a PNG or a JPEG"
            )
        return super().read(size)


def _without_comments(data: bytes, name: str) -> bytes:
    """A PNM whose pixels are written as text; Pillow takes out comments one by one, and is slow."""
    if len(data) > _MAX_PLAIN:
        raise ImageError(
            f"{name} is a PNM of {len(data)} bytes of text, above {_MAX_PLAIN}; save it again as "
            "a binary PNM or as a PNG"
        )
    return re.sub(rb"#[^\r\n]*", b"", data)


def open_image(data: bytes, name: str) -> Image.Image:
    """Read the header of an encoded image; ImageError if it is none."""
    kind = _kind(data)
    if kind == "PDF":
        raise ImageError(
            f"{name} looks like PDF; save it as a file and give a page of it: "
            "Path('report.pdf#page=1')"
        )
    if kind not in _FORMATS:
        raise ImageError(f"{name} looks like {kind}; convert it to one of {', '.join(_FORMATS)}")
    if kind == "JPEG":
        _check_jpeg(data, name)
    if kind == "PPM" and data[1:2] in b"123":
        data = _without_comments(data, name)
    Image.init()
    try:
        # Image.open would report a bomb through the process-wide warning filters, which no
        # thread can change safely; max_pixels is checked next, on the size in the header.
        factory, _ = Image.OPEN[kind]
        return factory(_Reader(data, name), "")
    except ImageError:
        raise
    # Damaged data makes Pillow's decoders raise nearly every type there is.
    except Exception as problem:
        raise ImageError(
            f"{name} begins as {kind} but cannot be read ({_in_short(problem)}): "
            "it is damaged or incomplete; get it again"
        ) from problem


def _in_short(problem: Exception) -> str:
    # Some quote the bytes that they could not read.
    said = repr(problem)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."


def check_size(size: tuple[int, int], name: str, policy: ImagePolicy) -> None:
    """Refuse an image without pixels, or with more or in another shape than the policy lets in."""
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"{name} has no pixels: {width} x {height}")
    if width * height > policy.max_pixels:
        raise ImageError(
            f"{name} has {width} x {height} pixels, above max_pixels={policy.max_pixels}; "
            "scale it down, or raise ImagePolicy.max_pixels"
        )
    if max(size) > policy.max_aspect * min(size):
        raise ImageError(
            f"{name} has {width} x {height} pixels, longer than max_aspect={policy.max_aspect} "
            "to 1; crop it, or raise ImagePolicy.max_aspect"
        )


def shows_first_of_many(image: Image.Image) -> bool:
    """Whether other frames are left out."""
    # The further pictures of an MPO are previews and gain maps: a phone's usual JPEG.
    if image.format == "MPO" or image.tell() > 0:
        return False
    try:
        return bool(getattr(image, "is_animated", False))
    # A broken or closed second frame must not cost us the first.
    except Exception:
        return False


def plain_media(image: Image.Image) -> MediaType | None:
    """What a file is that shows the same however little of it a reader knows; None where not."""
    media = _PLAIN.get(str(image.format))
    clear = "transparency" in image.info
    if media is None or image.mode not in ("RGB", "L") or clear or shows_first_of_many(image):
        return None
    try:
        upright = image.getexif().get(ExifTags.Base.Orientation, 1) == 1  # it may decode a PNG
    except Exception:  # of a damaged one
        return None
    return media if upright else None


def decode(opened: Image.Image, name: str, *, own: bool) -> Image.Image:
    """Give all pixels as a new RGB image: upright, eight bits, on white; ImageError if it can't.

    What nobody else holds (`own`) may become that image itself.
    """
    try:
        clear = _clear_value(opened)
        opened.load()
        upright = _upright(opened, name, own)
        if clear is not None:
            upright.info["transparency"] = clear
        if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
            upright = _from_deep(upright, name)
        return _flatten(upright)
    except (ImageError, MemVRWarning):
        raise
    # As in open_image: Pillow raises nearly every type there is.
    except Exception as problem:
        raise ImageError(
            f"{name} cannot be decoded ({_in_short(problem)}): it is damaged or incomplete; "
            "get it again"
        ) from problem


def _clear_value(image: Image.Image) -> int | tuple[int, ...] | None:
    """The grey or colour that a PNG shows as clear, where its samples are not of eight bits.

    Pillow gives it as the file has it and pixels in eight bits, and knows how deep they were only
    before it decodes them. Of a 16-bit colour the upper eight bits count; a 16-bit grey keeps all.
    """
    clear, tiles = image.info.get("transparency"), getattr(image, "tile", None)
    raw = str(tiles[0][3]) if image.format == "PNG" and tiles else ""
    if raw in _GREY_STEPS and isinstance(clear, int):
        return clear * _GREY_STEPS[raw]
    if raw == "RGB;16B" and isinstance(clear, tuple):
        return tuple(value >> 8 for value in clear)
    return None


def _upright(image: Image.Image, name: str, own: bool) -> Image.Image:
    pixels = image.im
    try:
        if not own:
            return ImageOps.exif_transpose(image)
        ImageOps.exif_transpose(image, in_place=True)
        pixels = image.im
    # The pixels are good, so unreadable EXIF is no reason to refuse them.
    except Exception as problem:
        warnings.warn(
            f"{name} has unreadable EXIF data ({_in_short(problem)}); it is taken as upright",
            MemVRWarning,
            stacklevel=5,
        )
    # A plain image, without a copy: a decoder's own has the encoded data and further frames.
    return image._new(pixels) if own else image.copy()


def _flatten(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    clear = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(clear, mask=clear.getchannel("A"))
    return white


def from_array(array: npt.NDArray[np.generic], name: str, policy: ImagePolicy) -> Image.Image:
    """Give an array as an image of eight bits; ImageError for shapes and values that are none."""
    shape = array.shape[:2] if array.ndim == 3 and array.shape[2] == 1 else array.shape
    if len(shape) == 3 and shape[0] in (1, 3, 4) and shape[2] not in (3, 4):
        raise ImageError(f"{name} is channel-first; pass array.transpose(1, 2, 0)")
    if len(shape) not in (2, 3) or shape[2:] not in ((), (3,), (4,)):
        raise ImageError(f"{name} is not (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)")
    check_size((shape[1], shape[0]), name, policy)
    return Image.fromarray(_eight_bits(array.reshape(shape), name))


def _eight_bits(values: npt.NDArray[np.generic], name: str) -> npt.NDArray[np.uint8]:
    """Scale the full range of `values` to 0..255: clipping would turn 16-bit images white."""
    match values.dtype.kind, values.dtype.itemsize:
        case "u", 1:
            return np.ascontiguousarray(values, dtype=np.uint8)
        case "b", _:
            return values.astype(np.uint8) * np.uint8(255)
        case "u", 2:
            return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
        case "f", _:
            low, high = values.min(), values.max()
            # Written so that NaN fails it too.
            if not (low >= 0 and high <= 1):
                raise ImageError(
                    f"{name} has values from {low} to {high}; floats must lie in 0..1: "
                    "divide by the largest possible value, or pass uint8"
                )
            return np.rint(values.astype(np.float32) * 255).astype(np.uint8)
    raise ImageError(
        f"{name} has a dtype that is not read; pass uint8, uint16, bool or floats in 0..1"
    )


def _from_deep(image: Image.Image, name: str) -> Image.Image:
    values: npt.NDArray[np.generic] = np.asarray(image)
    if image.mode == "I":
        # Pillow's 32-bit mode is where it puts the 16-bit values of PGM and of older PNGs.
        if values.min() < 0 or values.max() > 65535:
            raise ImageError(
                f"{name} has values from {values.min()} to {values.max()}; "
                "mode I is read as 0..65535: scale them to that range"
            )
        values = values.astype(np.uint16)
    shown = _eight_bits(values, name)
    if isinstance(clear := image.info.get("transparency"), int):
        shown[values == clear] = 255
    return Image.fromarray(shown)

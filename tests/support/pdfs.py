"""PDF files, written by hand or by Pillow."""

from collections.abc import Sequence
from pathlib import Path

import PIL.Image


def scan(file: Path, pictures: Sequence[PIL.Image.Image]) -> Path:
    """A file whose pages are a picture each."""
    first, *others = pictures
    first.save(file, save_all=True, append_images=others)
    return file


def drawn(content: str = "", *, pages: int = 1, box: str = "0 0 612 792", extra: str = "") -> bytes:
    """A file whose pages have the same content; `extra` is said in its trailer."""
    kids = " ".join(f"{number} 0 R" for number in range(4, 4 + pages))
    page = f"<< /Type /Page /Parent 2 0 R /MediaBox [{box}] /Contents 3 0 R >>"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        *[page] * pages,
    ]
    body = "".join(f"{n} 0 obj\n{one}\nendobj\n" for n, one in enumerate(objects, 1))
    return f"%PDF-1.4\n{body}trailer << /Root 1 0 R {extra} >>\n%%EOF\n".encode()


def encrypted() -> bytes:
    """A file whose password nobody knows."""
    key = "ab" * 32
    lock = f"<< /Filter /Standard /V 1 /R 2 /O <{key}> /U <{key}> /P -4 >>"
    return drawn(extra=f"/Encrypt {lock} /ID [<{key[:32]}> <{key[:32]}>]")

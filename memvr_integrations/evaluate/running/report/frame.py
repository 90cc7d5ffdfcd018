"""What all pages of a report have around them: they ask no host, and nothing in them acts."""

import base64
import hashlib
import html
from functools import cache
from importlib.resources import files


def framed(title: str, body: str, *, script: str = "") -> str:
    """A whole page; `body` is HTML, in which everything strange is escaped already.

    Of scripts only the given one may run, and nothing may be loaded from anywhere.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    scripts = f"script-src 'sha256-{digest}'; " if script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        f"img-src data:; style-src 'unsafe-inline'; {scripts}base-uri 'none'; "
        "form-action 'none'\">\n"
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{part('report.css')}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n{f'<script>{script}</script>' if script else ''}\n"
        "</body>\n</html>\n"
    )


@cache
def part(name: str) -> str:
    """A file that lies beside this module, such as a style."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")

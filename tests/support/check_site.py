"""Checks a built site: it asks no other host for anything, and shows every public name.

mkdocs build --strict && python tests/support/check_site.py site
"""

import importlib
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import generated_pages

DOCS = Path(__file__).parents[2] / "docs"
FETCHED = re.compile(r"""(?:url\(|@import\s)["']?((?:https?:)?//[^)"']*)""")


class _Requests(HTMLParser):
    """Collects what a browser would fetch by itself on opening a page."""

    def __init__(self):
        super().__init__()
        self.urls = []

    def handle_starttag(self, tag, attributes):
        names = {"link": ["href"], "a": []}.get(tag, ["src", "srcset", "data", "poster"])
        self.urls += [value for name, value in attributes if name in names and value]


def faults(site):
    """What is wrong with the site, each in a sentence."""
    pages = sorted(site.rglob("*.html"))
    if len(pages) <= len(list(DOCS.glob("*.md"))):  # with a page for what is not found
        yield f"{site} has {len(pages)} pages only."
    for page in pages:
        requests = _Requests()
        requests.feed(page.read_text())
        for url in requests.urls:
            if re.match(r"(https?:)?//", url):
                yield f"{page} fetches {url}."
    for sheet in site.rglob("*.css"):
        for url in re.findall(
            r"""(?:url\(|@import\s)["']?((?:https?:)?//[^)"']*)""", sheet.read_text()
        ):
            yield f"{sheet} fetches {url}."
    for page, door in generated_pages.DOORS.items():
        shown = (site / "api" / f"{page}.html").read_text()
        for name in importlib.import_module(door).__all__:
            if f'.{name}"' not in shown:
                yield f"api/{page}.html doesn't show {door}.{name}."


if __name__ == "__main__":
    found = list(faults(Path(sys.argv[1])))
    print("\n".join(found) or "The site is whole.")
    sys.exit(bool(found))

"""The site's search works from a disk and from a server, and asks no other host for anything."""

import mimetypes
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from chromium import chromium

ROOT = Path(__file__).parents[1]
HOST = "http://docs.test/"
SHIM = ROOT / "docs" / "assets" / "iframe-worker"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("material", reason="needs the extra docs")
    built = tmp_path_factory.mktemp("site")
    # Another process: mkdocs and its plug-ins set up warnings and logging as they please.
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", built],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        check=True,
    )
    return built


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


def serve(route, site):
    """Answer from the folder, as a server would; what is asked of other hosts gets nothing."""
    if not route.request.url.startswith(HOST):
        route.abort()
        return
    file = site / route.request.url.removeprefix(HOST).partition("?")[0]
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    route.fulfill(body=file.read_bytes(), content_type=kind)


@pytest.mark.browser
@pytest.mark.parametrize("way", ["disk", "server"])
@pytest.mark.parametrize("start", ["index.html", "api/memvr.html"])
def test_search_finds_a_page_and_asks_no_other_host(site, browser, way, start):
    base = f"{site.as_uri()}/" if way == "disk" else HOST
    asked, complaints = [], []
    context = browser.new_context()
    context.route(re.compile("^https?:"), lambda route: serve(route, site))
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(base + start)
    page.locator(".md-search__input").click()
    page.keyboard.type("glossary")
    # While it is typed, there are results for its beginning.
    found = page.locator(f".md-search-result__item > a[href^='{base}glossary.html']")
    found.first.wait_for()
    context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith((base, "data:", "blob:"))] == []


def test_what_comes_from_elsewhere_is_shipped_with_its_licence(site):
    for folder in (SHIM, site / "assets" / "iframe-worker"):
        assert "Permission is hereby granted" in (folder / "LICENSE.txt").read_text()
        assert "npmjs.org" in (folder / "ORIGIN.txt").read_text()

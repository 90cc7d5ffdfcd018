"""A headless Chromium, where playwright and one are installed; it reaches no network."""

import functools
import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@functools.cache
def missing() -> str | None:
    """What a browser test lacks here; None if nothing."""
    if importlib.util.find_spec("playwright") is None:
        return "needs playwright (pip install playwright)"
    if not any(map(shutil.which, _NAMES)):
        return f"needs Chromium: none of {', '.join(_NAMES)} is on the path"
    return None


@contextmanager
def chromium() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, _NAMES)))
    with sync_playwright() as playwright:
        # Who runs tests as root, as in a container, has no sandbox; what is shown is our own.
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            browser.close()

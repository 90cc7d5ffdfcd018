"""The filters of a page of questions, in a browser where there is one."""

import re
import shutil
import subprocess

import pytest
from report_lines import asked, said

from memvr_integrations.evaluate.running.report.questions import paged, write_pages

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
SURE, UNSURE = said("Yes", unsureness=0.1), said("Yes", unsureness=0.7)
WRONG = said("No", False, unsureness=0.1)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    questions = [
        asked("both right", SURE, SURE, text="Is there a dog?"),
        asked("flipped", WRONG, SURE, text="Is there a cat?"),
        asked("unsure", SURE, UNSURE, text="Is there a DOG here?"),
        asked("both wrong", WRONG, WRONG, text="Is there a cow?"),
    ]
    write_pages(folder, paged(questions), "title", unsure=0.5, progress=False)
    return folder / "questions.html"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is here")
@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        ("wrong=1&whose=1", "both wrong"),
        ("flipped=1", "flipped"),
        ("unsure=1&words=dog", "unsure"),
    ],
)
def test_filters(page, chosen, left, tmp_path):
    done = subprocess.run(
        [
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"),
            *("--dump-dom", f"{page.as_uri()}#{chosen}"),
        ],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    sections = re.findall(r"<section ([^>]*)>.*?<bdi>([^<]*)</bdi></span></p>", done.stdout)
    shown = [name for attributes, name in sections if "hidden" not in attributes]
    assert ", ".join(shown) == left
    assert f">{len(shown)} of the 4 questions on this page<" in done.stdout

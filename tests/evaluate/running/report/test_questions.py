"""Pages of questions: how many, how large, and that nothing in them acts."""

import base64
import hashlib
import re

import pytest
from PIL import Image
from report_lines import HOSTILE, PICTURE, Read, asked, said

from memvr_integrations.evaluate.running.report import questions
from memvr_integrations.evaluate.running.report.questions import (
    PAGE_BYTES,
    PAGE_QUESTIONS,
    links,
    paged,
    way_to,
    write_pages,
)


def written(folder, all_asked, title="own.csv: bundled"):
    pages = paged(all_asked)
    write_pages(folder, pages, title, unsure=0.5, progress=False)
    return [(folder / page.file).read_text(encoding="utf-8") for page in pages]


def test_a_page_holds_so_many_questions():
    pages = paged([asked(str(n)) for n in range(2 * PAGE_QUESTIONS + 1)])
    spans = [(page.file, page.first, page.last) for page in pages]
    assert spans == [
        ("questions.html", 1, 500),
        ("questions-2.html", 501, 1000),
        ("questions-3.html", 1001, 1001),
    ]
    assert paged([]) == []
    assert way_to([], []) == ""


def test_a_page_of_long_answers_holds_fewer():
    long = [asked(str(n), said("<" * 2000), said("&" * 2000)) for n in range(200)]
    pages = paged(long)
    assert 1 < len(pages) < 5
    assert sum(len(page.asked) for page in pages) == 200
    assert all(sum(map(len, page.sections)) < PAGE_BYTES for page in pages)


def test_the_largest_page_is_small_enough(tmp_path, monkeypatch):
    """As many pictures as go onto a page, as noisy as they come; few, with less room."""
    monkeypatch.setattr(
        questions, "_PICTURE_BYTES", 40 * questions._PICTURE_BYTES // PAGE_QUESTIONS
    )
    noise = [Image.effect_noise((200, 200), 90 + n).convert("RGB") for n in range(40)]
    [page] = written(tmp_path, [asked(str(n), images=(one,)) for n, one in enumerate(noise)])
    sources = [one["src"] for one in Read(page).of("img")]
    assert len(sources) == 40
    assert sum(map(len, sources)) * PAGE_QUESTIONS / 40 < PAGE_BYTES * 0.6


def test_pages_lead_to_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(questions, "PAGE_QUESTIONS", 2)
    first, second = written(tmp_path, [asked(str(n)) for n in range(3)])
    for page, current in ((first, "1-2"), (second, "3-3")):
        read = Read(page)
        assert read.loads == []
        leads = [one["href"] for one in read.of("a")]
        assert leads == ["report.html", *["questions.html", "questions-2.html"] * 2]
        assert f'aria-current="page">{current}</a>' in page


def test_pages_that_are_no_more_are_removed(tmp_path, monkeypatch):
    (tmp_path / "questions-of-mine.html").touch()
    monkeypatch.setattr(questions, "PAGE_QUESTIONS", 1)
    written(tmp_path, [asked("1"), asked("2"), asked("3")])
    written(tmp_path, [asked("1"), asked("2")])
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["questions-2.html", "questions-of-mine.html", "questions.html"]


def test_questions_about_one_picture_share_it(tmp_path):
    other = PICTURE.copy()
    [page] = written(
        tmp_path,
        [asked("1"), asked("2"), asked("3", images=(other,)), asked("4", images=())],
    )
    read = Read(page)
    assert len(read.of("article")) == 3
    assert len(read.of("img")) == 2
    assert len(read.of("section")) == 4
    assert "no picture" in read.text


def test_of_many_pictures_some_are_shown_and_all_are_counted(tmp_path):
    [page] = written(tmp_path, [asked("1", images=(PICTURE,) * 6)])
    assert len(Read(page).of("img")) == 4
    assert "and 2 more" in Read(page).text


def test_nothing_strange_acts_and_nothing_is_loaded(tmp_path):
    picture = tmp_path / 'a<b onclick=x>".png'
    PICTURE.save(picture)
    strange = asked(HOSTILE, said(HOSTILE + "\ud83d"), text=HOSTILE, images=(picture,))
    [page] = written(tmp_path, [strange], title=HOSTILE)
    read = Read(page)
    assert read.loads == []
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|https?://", page)
    assert len(read.of("script")) == 1
    [image] = read.of("img")
    assert image["alt"] == picture.name
    [policy] = [one["content"] for one in read.of("meta") if one.get("http-equiv")]
    digest = base64.b64encode(hashlib.sha256(read.scripts.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


@pytest.mark.parametrize("current", [False, True])
def test_one_page_needs_no_way_to_others(current):
    [page] = paged([asked("1")])
    assert ("questions.html" in links([page], page if current else None)) is not current

"""Pages of PDFs as pictures: scans, drawings, and files that are refused by name."""

import threading

import numpy as np
import PIL.Image
import pytest
from pdfs import drawn, encrypted, scan

from memvr_integrations.backend.images import (
    ImagePolicy,
    encoded_image,
    load_image,
    page_of,
    pdf_pages,
)
from memvr_integrations.errors import ImageError

RED, BLUE = (220, 20, 20), (20, 20, 230)
BLACK_LEFT = "0 g 0 0 306 792 re f"


@pytest.fixture
def report(tmp_path):
    fields = [PIL.Image.new("RGB", (40, 30), color) for color in (RED, BLUE)]
    return scan(tmp_path / "report.pdf", fields)


def written(tmp_path, data):
    file = tmp_path / "a.pdf"
    file.write_bytes(data)
    return file


def test_each_page_of_a_scan_is_its_picture(report):
    first, second = pdf_pages(report)
    assert second.name == "report.pdf#page=2"
    for page, color in ((first, RED), (second, BLUE)):
        shown = load_image(page)
        assert (shown.mode, shown.size) == ("RGB", (40, 30))  # no larger than what was scanned
        assert np.abs(np.asarray(shown, int) - color).max() < 12  # it is a JPEG there


def test_a_page_is_rendered_as_large_as_the_policy_has_it(tmp_path):
    page = written(tmp_path, drawn(BLACK_LEFT)).with_name("a.pdf#page=1")
    shown = np.asarray(load_image(page, ImagePolicy(page_side=66)))
    assert shown.shape == (66, 51, 3)
    assert shown[:, :25].max() == 0
    assert shown[:, 26:].min() == 255
    assert max(load_image(page).size) == ImagePolicy().page_side
    data, media = encoded_image(page, ImagePolicy(page_side=66))
    assert media == "image/png"
    assert np.array_equal(np.asarray(load_image(data)), shown)


def test_a_file_that_is_called_like_a_page_is_a_file(tmp_path):
    file = tmp_path / "odd.pdf#page=3"
    PIL.Image.new("RGB", (3, 2), RED).save(file, "PNG")
    assert page_of(file) is None
    assert load_image(file).size == (3, 2)


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("report.pdf", r"looks like PDF; .* give a page of it: Path\('report.pdf#page=1'\)"),
        ("report.pdf#page=3", r"report.pdf#page=3' is not there: the file has 2 page"),
        ("report.pdf#page=0", "is not there: the file has 2 page"),
        ("none.pdf#page=1", r"none.pdf' cannot be read: No such file"),
    ],
)
def test_what_is_no_page_is_refused_by_name(report, page, says):
    with pytest.raises(ImageError, match=says):
        load_image(report.with_name(page))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (encrypted(), "a.pdf' is encrypted, and no password is asked for"),
        (b"%PDF-1.7\nnothing more", "a.pdf' is no PDF that can be read .*damaged or incomplete"),
        (b"", "a.pdf' is empty: 0 bytes"),
        (drawn(pages=0), "a.pdf' (has no pages|is no PDF)"),
    ],
)
def test_what_has_no_pages_to_show_is_refused_by_name(tmp_path, data, says):
    with pytest.raises(ImageError, match=says):
        pdf_pages(written(tmp_path, data))


def test_a_thousand_pages_are_a_matter_of_the_policy(tmp_path):
    file = written(tmp_path, drawn(pages=1000))
    with pytest.raises(ImageError, match=r"a.pdf' has 1000 pages, above max_pages=200; .*#page=1"):
        pdf_pages(file)
    assert len(pages := pdf_pages(file, ImagePolicy(max_pages=1000))) == 1000
    assert load_image(pages[-1], ImagePolicy(page_side=20)).size == (15, 20)


def test_limits_of_pictures_are_those_of_pages(tmp_path):
    file = written(tmp_path, drawn(box="0 0 9000 10"))
    page = file.with_name("a.pdf#page=1")
    with pytest.raises(ImageError, match="max_aspect=200"):
        load_image(page)
    with pytest.raises(ImageError, match="max_pixels=99"):
        load_image(written(tmp_path, drawn()).with_name("a.pdf#page=1"), ImagePolicy(max_pixels=99))
    with pytest.raises(ImageError, match="max_bytes=9"):
        load_image(page, ImagePolicy(max_bytes=9))


def test_a_page_that_takes_too_long_is_given_up(tmp_path):
    lines = "".join(
        f"{n % 600} {n % 700} m {n * 7 % 600} {n * 13 % 700} l S\n" for n in range(9000)
    )
    page = written(tmp_path, drawn(lines)).with_name("a.pdf#page=1")
    with pytest.raises(ImageError, match=r"longer to render than timeout=1e-06 seconds"):
        load_image(page, ImagePolicy(timeout=1e-6, page_side=400))
    assert load_image(page, ImagePolicy(page_side=400, timeout=600)).size == (309, 400)


def test_a_picture_in_a_page_is_held_to_the_limit_of_pixels(tmp_path):
    big = PIL.Image.new("1", (2000, 3000))
    page = pdf_pages(scan(tmp_path / "a.pdf", [big]))[0]
    with pytest.raises(
        ImageError, match=r"picture of 2000 x 3000 pixels, above max_pixels=3000000"
    ):
        load_image(page, ImagePolicy(max_pixels=3_000_000))
    assert load_image(page).size == (1024, 1536)


def test_many_threads_may_render_at_once(report):
    seen = []

    def look():
        seen.extend(load_image(page).getpixel((9, 9))[2] > 100 for page in pdf_pages(report))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen.count(True) == seen.count(False) == 4


def test_without_the_extra_it_says_what_to_install(report, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pypdfium2", None)
    with pytest.raises(ImageError, match=r"need pypdfium2: pip install -e '.\[pdf\]'"):
        pdf_pages(report)

"""The notebook's cells run one after another, and print what is stored in it."""

import base64
import io

import notebooks
import PIL.Image
import pytest
from shown_outputs import differs


@pytest.fixture(scope="module")
def stored():
    return notebooks.read(notebooks.NOTEBOOK)


@pytest.mark.usefixtures("loads_once")
def test_cells_print_and_show_what_is_stored(stored, monkeypatch):
    monkeypatch.chdir(notebooks.NOTEBOOK.parent)  # where Jupyter runs it
    pages = 0
    for cell, printed, value in notebooks.executed(stored):
        assert (found := differs(notebooks.printed_in(cell), printed)) is None, found
        assert hasattr(value, "_repr_png_") == (notebooks.picture_in(cell) is not None)
        if hasattr(value, "_repr_html_"):
            assert "<iframe" in value._repr_html_()
            pages += 1
    assert pages == 2


def test_it_is_small_and_holds_no_page(stored):
    assert notebooks.NOTEBOOK.stat().st_size < 300_000
    [picture] = filter(None, map(notebooks.picture_in, stored["cells"]))
    png = base64.b64decode(picture)
    assert PIL.Image.open(io.BytesIO(png)).format == "PNG"
    assert png == notebooks.PICTURE.read_bytes()
    outputs = [one for cell in stored["cells"] for one in cell.get("outputs", ())]
    assert {kind for one in outputs for kind in one.get("data", ())} == {"image/png"}
    assert stored["metadata"]["kernelspec"]["name"] == "python3"


def test_its_page_is_made_from_it():
    page = notebooks.PICTURE.with_name("notebook.md")
    if page.read_text(encoding="utf-8") != notebooks.page():
        pytest.fail("run: python tests/support/notebooks.py")

"""Collections that hold PDFs: each page is an image, and a citation names it."""

import PIL.Image
import pytest
from fields import COLORS, SeeingEngine, paint
from pdfs import drawn, scan

from memvr_integrations.backend.images import load_image
from memvr_integrations.errors import ConfigError, MemVRWarning
from memvr_integrations.llama_index import ImageCollectionIndex, MemVRMultiModalLLM, citations


def pages(file, *colors):
    return scan(file, [PIL.Image.new("RGB", (9, 7), COLORS[color]) for color in colors])


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "fields"
    paint(made, ["white"])
    pages(made / "report.pdf", "red", "green", "blue")
    return made


@pytest.fixture
def options():
    llm = MemVRMultiModalLLM(model="scripted", engine=SeeingEngine())
    return {"llm": llm, "show_progress": False}


def test_an_answer_cites_the_page(folder, options):
    index = ImageCollectionIndex.from_folder(folder, **options)
    assert len(index) == 4
    response = index.as_query_engine(similarity_top_k=4).query("Is there a green field?")
    [cited] = citations(response)
    assert (cited.page, cited.caption) == (2, "A field that is green.")
    assert cited.source.endswith("report.pdf#page=2")
    assert response.source_nodes[0].node.metadata["page"] == 2
    [white] = [node for node in index if node.text == "A field that is white."]
    assert "page" not in white.metadata


def test_a_pdf_that_changed_is_read_again_and_one_that_is_gone_forgotten(folder, options, tmp_path):
    again = {"persist_dir": tmp_path / "i", **options}
    ImageCollectionIndex.from_folder(folder, **again).close()
    pages(folder / "report.pdf", "blue", "white")
    with ImageCollectionIndex.from_folder(folder, **again) as index:
        assert len(index) == 3
        assert index[f"{folder}/report.pdf#page=1"].text == "A field that is blue."
    (folder / "report.pdf").unlink()
    with ImageCollectionIndex.from_folder(folder, **again) as index:
        assert [node.text for node in index] == ["A field that is white."]


def test_one_page_or_all_are_added_and_removed(folder, options):
    index = ImageCollectionIndex(**options)
    [one] = index.add((folder / "report.pdf#page=3", {"year": 2024}))
    assert index[one].metadata["year"] == 2024
    assert len(index.add(folder / "report.pdf")) == 3
    assert len(index) == 3
    index.remove(folder / "report.pdf")
    assert len(index) == 0
    with pytest.raises(ConfigError, match=r"report\.pdf' is not in this collection"):
        index.remove(folder / "report.pdf")


def test_a_pdf_that_cannot_be_read_is_left_out_with_a_warning(folder, options):
    (folder / "bad.pdf").write_bytes(b"%PDF-1.7 no more")
    (folder / "long.pdf").write_bytes(drawn(pages=201))
    with pytest.warns(MemVRWarning, match=r"2 of 6 images .* the first: .*bad\.pdf' is no PDF"):
        index = ImageCollectionIndex.from_folder(folder, **options)
    assert len(index) == 4
    assert "above max_pages=200" in index.failures[str(folder / "long.pdf")]
    (folder / "bad.pdf").unlink()
    pages(folder / "bad.pdf", "red")
    index.add(folder / "bad.pdf")
    assert list(index.failures) == [str(folder / "long.pdf")]


def test_any_llm_is_shown_the_page_itself(folder, options):
    index = ImageCollectionIndex.from_folder(folder, **options)
    [found] = index.as_retriever(similarity_top_k=1).retrieve("A field that is red")
    _, block = found.node.get_content_blocks()
    assert block.path is None  # which others would open
    assert load_image(block.resolve_image().read()).getpixel((4, 4))[0] > 200

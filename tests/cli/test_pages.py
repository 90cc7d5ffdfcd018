"""PDFs on the command line: all pages that the model reads, or those that are named."""

import json

import PIL.Image
import pytest
from pdfs import encrypted, scan


@pytest.fixture
def report(tmp_path, scenes):
    pages = [PIL.Image.fromarray(scene.pixels) for scene in scenes[:4]]
    return scan(tmp_path / "report.pdf", pages)


def test_as_many_pages_as_the_model_reads_are_shown_and_the_others_named(memvr, report):
    result = memvr("ask", report, "What is there?", "--json", "--max-tokens", "2")
    shown = json.loads(result.stdout)
    assert shown["images"] == [f"{report}#page=1", f"{report}#page=2"]
    assert shown["usage"]["image_tokens"] == 128
    [hint] = shown["warnings"]
    assert hint.startswith("2 of 4 pages are left out, the first report.pdf#page=3: bundled reads")
    assert "Showing report.pdf#page=1, report.pdf#page=2\n" in result.stderr


@pytest.mark.parametrize("command", ["ask", "explain"])
def test_a_page_that_is_named_is_shown_alone(memvr, report, command):
    result = memvr(command, f"{report}#page=3", "What is there?", "--max-tokens", "2")
    assert result.exit_code == 0
    assert "Showing" not in result.stderr


def test_what_was_named_is_never_left_out(memvr, report, scene_file):
    result = memvr("ask", scene_file, report, "What?", "--json", "--max-tokens", "2")
    assert json.loads(result.stdout)["images"] == [str(scene_file), f"{report}#page=1"]


def test_a_model_of_many_pictures_is_shown_what_its_context_holds(memvr, report, monkeypatch):
    from memvr_integrations.backend.hosting import catalog

    monkeypatch.setattr(catalog, "find", lambda name: None)
    result = memvr("ask", report, "What?", "--json", "--max-tokens", "200")
    shown = json.loads(result.stdout)
    assert 2 < len(shown["images"]) <= 4


@pytest.mark.parametrize("name", ["secret.pdf", "secret.pdf#page=1"])
def test_an_encrypted_pdf_is_refused_before_a_model_is_loaded(memvr, tmp_path, name):
    (tmp_path / "secret.pdf").write_bytes(encrypted())
    result = memvr("ask", tmp_path / name, "What?")
    assert result.exit_code == 1
    assert "is encrypted, and no password is asked for" in result.stderr
    assert not memvr.calls


def test_a_page_of_no_file_is_refused(memvr, tmp_path):
    result = memvr("ask", tmp_path / "none.pdf#page=1", "What?")
    assert "none.pdf#page=1' is not there; check the path" in result.stderr

import json

import numpy as np
import pytest
from bundled_model.art import icons as art
from bundled_model.art import render

from memvr_integrations.errors import MemVRError

ICONS = {
    "width": 64,
    "icons": {
        "cow": {"body": "<g id='cow'/>"},
        "deciduoustree": {"body": "<g id='tree'/>"},
        "kitchen-knife": {"body": "<g id='knife'/>", "width": 32, "left": 1},
        "plate": {"body": "<g id='not ours'/>"},
        "phone": {"body": "<g id='phone'/>"},
        "cow-face": {"body": "<g id='cow face'/>"},
    },
    "aliases": {"dog": {"parent": "puppy"}, "puppy": {"parent": "cow"}},
}


@pytest.fixture
def rendered(monkeypatch):
    """Renders to the SVG's text instead of pixels."""
    monkeypatch.setattr(art, "download", lambda package, folder: folder)
    monkeypatch.setattr(art.IconSet, "load", lambda archive: art.IconSet(json.dumps(ICONS)))
    monkeypatch.setattr(art, "render_svg", lambda svg: np.array(svg))
    return art.render_styles


def test_icons_are_found_by_name_alias_and_without_hyphens(rendered):
    sprites = rendered({"noto": "x"})
    assert "id='cow'" in str(sprites["noto|cow|cow"])
    assert "id='cow'" in str(sprites["noto|dog|dog"])
    assert "id='tree'" in str(sprites["noto|tree|deciduous-tree"])
    assert 'viewBox="1 0 32 16"' in str(sprites["noto|knife|kitchen-knife"])


def test_the_plate_and_the_fork_are_ours_in_every_style(rendered):
    for style in art.SHIPPED | art.MORE | art.HELD_OUT:
        sprites = rendered({style: "x"})
        # In another shape where training must not have seen it.
        ours = style in art.HELD_OUT
        assert ("<path transform" in str(sprites[f"{style}|fork|fork"])) == ours
        if style != "contrast":  # lines alone
            assert ('ry="17"' in str(sprites[f"{style}|plate|plate"])) == ours


def test_more_drawings_only_where_they_are_asked_for(rendered):
    assert "noto|cow|cow-face" not in rendered({"noto": "x"})
    assert "noto|cow|cow-face" in rendered({"noto": "x"}, more=True)


def test_lines_alone_are_never_painted(rendered):
    assert not [key for key in rendered({"contrast": "x"}) if key.split("|")[1] == "plate"]
    assert "contrast|cow|cow" in rendered({"contrast": "x"})


def test_training_never_sees_the_held_out_styles():
    assert not (art.SHIPPED.keys() | art.MORE.keys()) & art.HELD_OUT.keys()
    assert not set((art.SHIPPED | art.MORE).values()) & set(art.HELD_OUT.values())


@pytest.mark.parametrize("option", ["--more", "--held-out"])
def test_a_file_that_could_not_be_written_is_refused_before_anything_is_fetched(option, capsys):
    for name, told in (("art", "give art.npz"), ("nowhere/art.npz", "no folder nowhere")):
        with pytest.raises(SystemExit):
            render.main([option, name])
        assert told in capsys.readouterr().err


def test_what_npm_says_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MemVRError, match=r"install Node\.js"):
        art.download("icons@1", tmp_path)
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code E404' >&2\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(SystemExit):
        render.main(["--held-out", str(tmp_path / "art.npz")])
    assert "npm error code E404" in capsys.readouterr().err

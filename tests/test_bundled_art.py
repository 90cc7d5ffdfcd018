import json

import numpy as np
import pytest

from memvr_integrations.bundled import art

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
        assert "<circle" in str(sprites.get(f"{style}|plate|plate", "<circle"))
        assert "<path" in str(sprites[f"{style}|fork|fork"])


def test_more_drawings_only_where_they_are_asked_for(rendered):
    assert "noto|cow|cow-face" not in rendered({"noto": "x"})
    assert "noto|cow|cow-face" in rendered({"noto": "x"}, more=True)


def test_lines_alone_are_never_painted(rendered):
    assert not [key for key in rendered({"contrast": "x"}) if key.split("|")[1] == "plate"]
    assert "contrast|cow|cow" in rendered({"contrast": "x"})


def test_training_never_sees_the_held_out_styles():
    assert not (art.SHIPPED.keys() | art.MORE.keys()) & art.HELD_OUT.keys()
    assert not set((art.SHIPPED | art.MORE).values()) & set(art.HELD_OUT.values())

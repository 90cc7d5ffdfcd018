"""The drawn world of the bundled model: its words, its art, its scenes.

`draw_scene(random.Random(0), Sprites(SPRITES), tuple(THEMES))` draws a `Scene` with the truth
about it. The words are plain tuples and dicts; numpy and pillow come in with the first name that
draws.
"""

from typing import TYPE_CHECKING

from memvr_integrations._lazy import lazily
from memvr_integrations.bundled.world.words import (
    CLASSES,
    COLORS,
    NUMBERS,
    PAINTABLE,
    PARTNER,
    THEMES,
    classes_of,
    plural,
    single,
    surely_absent,
    with_article,
)

if TYPE_CHECKING:
    from memvr_integrations.bundled.world.scenes import (
        GRID,
        PATCH,
        SIDE,
        SPRITES,
        Box,
        Drawing,
        Scene,
        Sprites,
        Thing,
        draw_scene,
        sample_names,
    )

_DRAWING = (
    "GRID",
    "PATCH",
    "SIDE",
    "SPRITES",
    "Box",
    "Drawing",
    "Scene",
    "Sprites",
    "Thing",
    "draw_scene",
    "sample_names",
)
__getattr__ = lazily(__name__, dict.fromkeys(_DRAWING, "scenes"))

__all__ = [
    "CLASSES",
    "COLORS",
    "GRID",
    "NUMBERS",
    "PAINTABLE",
    "PARTNER",
    "PATCH",
    "SIDE",
    "SPRITES",
    "THEMES",
    "Box",
    "Drawing",
    "Scene",
    "Sprites",
    "Thing",
    "classes_of",
    "draw_scene",
    "plural",
    "sample_names",
    "single",
    "surely_absent",
    "with_article",
]

"""The drawn world of the bundled model: its words, its art, its scenes.

`draw_scene(random.Random(0), Sprites(SPRITES), tuple(THEMES))` draws a `Scene` with the truth
about it. The words are plain tuples and dicts; numpy and pillow come in with the first name that
draws.
"""

from typing import TYPE_CHECKING

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


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from memvr_integrations.bundled.world import scenes

    return getattr(scenes, name)

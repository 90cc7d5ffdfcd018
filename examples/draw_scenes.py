"""Draw the example pictures again, and print what is in each of them.

Give a folder to write elsewhere: python examples/draw_scenes.py /tmp/scenes
"""

import random
import sys
from pathlib import Path

from bundled_model.conversations.questions import phrase
from PIL import Image

from memvr_integrations.bundled.world import SPRITES, Scene, Sprites, draw_scene

# File -> theme and seed; the same seed draws the same scene.
PICTURES = {
    "farm.png": ("farm", 7),
    "farm-no-dog.png": ("farm", 279),
    "kitchen.png": ("kitchen", 42),
    "fork-no-knife.png": ("kitchen", 19),
    "three-sheep.png": ("farm", 1130),
}


def draw(name: str, sprites: Sprites) -> Scene:
    theme, seed = PICTURES[name]
    return draw_scene(random.Random(seed), sprites, [theme])


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sprites = Sprites(SPRITES)
    for name in PICTURES:
        scene = draw(name, sprites)
        Image.fromarray(scene.pixels).save(folder / name)
        print(f"{name}: {', '.join(phrase(thing) for thing in scene.things)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images")

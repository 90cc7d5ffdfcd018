"""Renders public icon sets into sprites: `python -m bundled_model.art.render`."""

import argparse
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from bundled_model.art.icons import HELD_OUT, MORE, SHIPPED, render_styles
from bundled_model.art.symbols_and_3d import render_more
from memvr_integrations.bundled.world import SPRITES
from memvr_integrations.errors import MemVRError


def write_sprites(out: Path, sprites: Mapping[str, np.ndarray]) -> None:
    """A file for `Sprites`: every pixel as it is, in a third less room than NumPy's own."""
    packed = {}
    for key, pixels in sprites.items():
        into = io.BytesIO()
        picture = Image.fromarray(pixels)
        # Exact: colours that are fully transparent stay, which edges are blended with.
        picture.save(into, format="WEBP", lossless=True, quality=100, method=6, exact=True)
        packed[key] = np.frombuffer(into.getvalue(), np.uint8)
    np.savez(out, **packed)  # type: ignore[arg-type]


def main(arguments: list[str] | None = None) -> None:
    """Render the shipped styles, or another choice into a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--held-out", type=Path, metavar="FILE", help="render the unseen styles")
    choice.add_argument("--more", type=Path, metavar="FILE", help="render what may be trained on")
    args = parser.parse_args(arguments)
    out = args.held_out or args.more or SPRITES
    if out.suffix != ".npz":
        parser.error(f"{out} doesn't end in .npz, as files of sprites do; give {out}.npz")
    if not out.parent.is_dir():
        parser.error(f"there is no folder {out.parent} for {out.name}; make it first")
    try:
        if args.more:
            sprites = render_styles(SHIPPED | MORE, more=True)
            sprites |= render_more(sprites)
        else:
            sprites = render_styles(HELD_OUT if args.held_out else SHIPPED)
    except MemVRError as error:
        parser.error(str(error))
    write_sprites(out, sprites)
    print(f"{len(sprites)} sprites, {out.stat().st_size / 1e6:.1f} MB: {out}")


if __name__ == "__main__":
    main()

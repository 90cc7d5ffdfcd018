"""Reading the boxes that models write into their answers."""

import re

from memvr_integrations.types import Box

_SCALE = 1000  # Qwen-VL's coordinates are thousandths of a picture's width and height
_MARK = re.compile(
    r"<ref>(?P<label>.*?)</ref>"
    r"|<box>\s*\((?P<left>\d+),\s*(?P<top>\d+)\),\s*\((?P<right>\d+),\s*(?P<bottom>\d+)\)\s*</box>",
    re.DOTALL,
)
_PLAIN = re.compile(r"\[\s*" + r"\s*,\s*".join([r"(\d{1,4})"] * 4) + r"\s*\]")


def read_boxes(text: str, width: int, height: int, image: int) -> tuple[Box, ...]:
    """The boxes in a text, in pixels of the picture that they are in.

    `<ref>a dog</ref>` labels the boxes that follow it. Corners are put in order, and cut at the
    picture's edges; what is no whole box is left in the text alone.
    """
    found, label = [], ""
    for mark in _MARK.finditer(text):
        if mark["label"] is not None:
            label = mark["label"].strip()
            continue
        across = sorted(_pixels(mark[side], width) for side in ("left", "right"))
        down = sorted(_pixels(mark[side], height) for side in ("top", "bottom"))
        found.append(
            Box(
                label=label,
                left=across[0],
                top=down[0],
                right=across[1],
                bottom=down[1],
                image=image,
            )
        )
    return tuple(found)


def read_plain_boxes(
    text: str, width: int, height: int, *, image: int, scale: int
) -> tuple[Box, ...]:
    """The boxes in a text that are written `[x0, y0, x1, y1]`, in pixels of their picture.

    A corner's numbers are parts of `scale` of the picture's width and height. Four numbers that are
    no box, since one is larger or a side has no length, are left in the text alone.
    """
    found = []
    for written in _PLAIN.findall(text):
        x0, y0, x1, y1 = (int(number) for number in written)
        if x0 < x1 <= scale and y0 < y1 <= scale:
            across, down = width / scale, height / scale
            corners = {"left": x0 * across, "top": y0 * down}
            corners |= {"right": x1 * across, "bottom": y1 * down}
            found.append(Box(label="", image=image, **corners))
    return tuple(found)


def _pixels(value: str, size: int) -> float:
    return min(int(value), _SCALE) * size / _SCALE

"""How many pictures a model can be shown at once."""

import bisect
from collections.abc import Callable


def fitting(given: int, room: int, tokens: Callable[[int], int]) -> int:
    """How many of `given` pictures, from the first, fit into `room` tokens; 0 where none does.

    `tokens` counts a prompt with that many: exactly, so it is asked as seldom as can be.
    """
    if not given or tokens(given) <= room:
        return given
    return bisect.bisect_right(range(1, given), room, key=tokens)

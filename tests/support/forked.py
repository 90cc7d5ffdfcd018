"""A copy of this process, for tests that kill one: a new one takes seconds to import torch."""

import os
import traceback
import warnings
from collections.abc import Callable


def forked(act: Callable[[], object]) -> int:
    """Start a copy of this process that does no more than `act`; its id.

    Of the threads it has only the one that calls this.
    """
    with warnings.catch_warnings():
        # Python warns where there are other threads: they may hold locks. Ours wait for requests.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    status = 1
    try:
        act()
        status = 0
    except BaseException:  # what would go on in it is pytest
        traceback.print_exc()
    finally:
        os._exit(status)

"""What a model's answers rest on, over any `Engine`: asking back, withholding, citing."""

from memvr_integrations.grounding.abstaining import CANNOT_TELL, Abstaining
from memvr_integrations.grounding.asking_back import (
    RIGHT_PROMPT,
    THING_PROMPT,
    ashows_all,
    ayes_by_image,
    rightness,
    shows_all,
    yes_by_image,
)
from memvr_integrations.grounding.choice import YES_NO, ashares, shares

__all__ = [
    "CANNOT_TELL",
    "RIGHT_PROMPT",
    "THING_PROMPT",
    "YES_NO",
    "Abstaining",
    "ashares",
    "ashows_all",
    "ayes_by_image",
    "rightness",
    "shares",
    "shows_all",
    "yes_by_image",
]

"""LangChain: answers as data that always fits a schema.

The grammar keeps the form, so every answer is valid; what is filled in comes from the model and
can be wrong. The model in the box has learned some fields, such as these, and guesses at others.
"""

from pathlib import Path
from typing import Literal

from langchain_core.messages import HumanMessage
from pydantic import BaseModel, Field

from memvr_integrations.langchain import ChatMemVR, image_block

IMAGES = Path(__file__).parent / "images"


class Found(BaseModel):
    """What the picture shows."""

    place: Literal["farm", "kitchen"]
    sheep: int = Field(ge=0, le=4)
    has_dog: bool


TRUTH = {
    "farm.png": Found(place="farm", sheep=0, has_dog=True),
    "farm-no-dog.png": Found(place="farm", sheep=0, has_dog=False),
    "kitchen.png": Found(place="kitchen", sheep=0, has_dog=False),
}

finding = ChatMemVR(model="bundled").with_structured_output(Found)
for name, truth in TRUTH.items():
    found = finding.invoke([HumanMessage([image_block(IMAGES / name), "What is in the picture?"])])
    print(f"{name}: {found!r} {'as it is' if found == truth else f'and not {truth!r}'}")

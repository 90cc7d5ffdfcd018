"""LangChain: one question about every picture of a folder, as valid data, in batches."""

from pathlib import Path
from typing import Literal

from langchain_core.messages import HumanMessage
from pydantic import BaseModel, Field

from memvr_integrations.langchain import ChatMemVR, image_block

IMAGES = Path(__file__).parent / "images"


class Sheep(BaseModel):
    """How many sheep the picture shows."""

    kind_of_scene: Literal["farm", "kitchen"]
    sheep: int = Field(ge=0, le=4)


# The model in the box was never trained to write JSON. What it writes is valid all the same,
# because the grammar leaves it no other choice; whether it is true is another question.
counting = ChatMemVR(model="bundled").with_structured_output(Sheep)
files = sorted(IMAGES.glob("*.png"))
questions = [[HumanMessage([image_block(file), "How many sheep are there?"])] for file in files]
for file, found in zip(files, counting.batch(questions), strict=True):
    print(f"{file.name}: {found!r}")

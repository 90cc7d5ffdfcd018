"""LangChain: a model that withholds what it is unsure of.

How unsure the model was of the words that matter is known; above a threshold the answer is
withheld. For the model in the box the threshold was measured. For others choose one, on pictures
of which you know the truth: `abstain=0.3`.
"""

from pathlib import Path

from langchain_core.messages import HumanMessage

from memvr_integrations.langchain import ChatMemVR, image_block

IMAGES = Path(__file__).parent / "images"
QUESTIONS = (
    ("farm.png", "Is there a tree in the picture?", "yes"),
    ("farm.png", "How many houses are there?", "two"),
    ("fork-no-knife.png", "Is there a knife in the picture?", "no"),
    ("farm-no-dog.png", "What color is the house?", "yellow, its roof orange"),
)

careful = ChatMemVR(model="bundled", abstain=True)
asked = [[HumanMessage([image_block(IMAGES / name), text])] for name, text, _ in QUESTIONS]
for (name, text, truth), answer in zip(QUESTIONS, careful.batch(asked), strict=True):
    record = answer.response_metadata["memvr"]
    print(f"{name}: {text} {answer.text} (truth: {truth}; unsure: {record['unsureness']:.2f})")
    if record["abstained"]:
        print(f"  withheld: {record['withheld']}")

"""LangChain: one question about every picture of a folder, computed in batches."""

from pathlib import Path

from langchain_core.messages import HumanMessage

from memvr_integrations.langchain import ChatMemVR, image_block

IMAGES = Path(__file__).parent / "images"

model = ChatMemVR(model="bundled")
files = sorted(IMAGES.glob("*.png"))
questions = [[HumanMessage([image_block(file), "How many sheep are there?"])] for file in files]
for file, answer in zip(files, model.batch(questions), strict=True):
    unsure = answer.response_metadata["memvr"]["max_output_entropy"]
    print(f"{file.name}: {answer.text} (unsure: {unsure:.2f})")

"""LangChain: a chain over an image, streamed, and what the answer says about itself."""

from pathlib import Path

from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda

from memvr_integrations.langchain import ChatMemVR, image_block

FARM = Path(__file__).parent / "images" / "farm.png"

model = ChatMemVR(model="bundled")


@RunnableLambda
def about_the_farm(question: str) -> list[HumanMessage]:
    return [HumanMessage([image_block(FARM), question])]


chain = about_the_farm | model | StrOutputParser()
for piece in chain.stream("Describe the picture."):
    print(piece, end="", flush=True)
print()

answer = (about_the_farm | model).invoke("Is there a dog in the picture?")
record = answer.response_metadata["memvr"]
print(answer.content)
print(f"retraced at {record['retraced_tokens']} tokens, at layers {record['layers']}")
for token in answer.response_metadata["logprobs"]["content"]:
    print(f"  {token['token']!r:10} entropy {token['output_entropy']:.2f}")

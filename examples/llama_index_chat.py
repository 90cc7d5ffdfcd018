"""LlamaIndex: a conversation about a collection of images, streamed."""

from pathlib import Path

from memvr_integrations.llama_index import ImageCollectionIndex, citations

IMAGES = Path(__file__).parent / "images"

index = ImageCollectionIndex.from_folder(IMAGES, show_progress=False)
chat = index.as_chat_engine()

ASKED = {
    "Is there a dog in the picture?": "yes, in farm.png",
    "What else is in it?": "a tree and two houses",
    "How many forks are there?": "one, in kitchen.png and in fork-no-knife.png",
}

for message, truth in ASKED.items():
    print(f"> {message} (truth: {truth})")
    response = chat.stream_chat(message)
    for piece in response.response_gen:
        print(piece, end="", flush=True)
    # "it" is about the picture of the answer before; other questions look for another one.
    print("", *(Path(citation.source).name for citation in citations(response)))

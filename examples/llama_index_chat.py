"""LlamaIndex: a conversation about a collection of images, streamed."""

from pathlib import Path

from memvr_integrations.llama_index import ImageCollectionIndex, citations

IMAGES = Path(__file__).parent / "images"

index = ImageCollectionIndex.from_folder(IMAGES, show_progress=False)
chat = index.as_chat_engine()

for message in ("Is there a dog in the picture?", "What color is it?", "How many cups are there?"):
    print(f"> {message}")
    response = chat.stream_chat(message)
    for piece in response.response_gen:
        print(piece, end="", flush=True)
    # "it" is about the picture of the answer before; other questions look for another one.
    print("", *(Path(citation.source).name for citation in citations(response)))

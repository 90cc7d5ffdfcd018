"""LlamaIndex: from a folder of images to cited answers, in three lines."""

from pathlib import Path

from memvr_integrations.llama_index import ImageCollectionIndex, citations

IMAGES = Path(__file__).parent / "images"

index = ImageCollectionIndex.from_folder(IMAGES, show_progress=False)
engine = index.as_query_engine()
response = engine.query("How many sheep are there?")

print(response)
for citation in citations(response):
    print(f"[{citation.n}] {Path(citation.source).name}: {citation.caption}")

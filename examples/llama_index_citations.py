"""LlamaIndex: an answer as a web page, with the images that it cites."""

import base64
import html
import tempfile
from pathlib import Path

from memvr_integrations.llama_index import ImageCollectionIndex, citations

IMAGES = Path(__file__).parent / "images"

index = ImageCollectionIndex.from_folder(IMAGES, show_progress=False)
question = "How many sheep are there?"
response = index.as_query_engine(rerank_top_n=2).query(question)

figures = "".join(
    f'<figure id="{citation.node_id}"><img alt="" src="data:image/png;base64,'
    f'{base64.b64encode(Path(citation.source).read_bytes()).decode()}">'
    f"<figcaption>[{citation.n}] {html.escape(citation.caption)}</figcaption></figure>"
    for citation in citations(response)
)
answer = html.escape(str(response)).replace("\n", "<br>")
page = Path(tempfile.mkdtemp()) / "answer.html"
page.write_text(
    f'<!doctype html><meta charset="utf-8"><title>{html.escape(question)}</title>'
    f"<h1>{html.escape(question)}</h1><p>{answer}</p>{figures}"
)
print(f"{page} shows {len(citations(response))} images and: {response}")

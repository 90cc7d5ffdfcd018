"""LlamaIndex: an answer as a web page, with the images that it cites, and where in them."""

import base64
import html
import tempfile
from pathlib import Path

from memvr_integrations.llama_index import ImageCollectionIndex, citations

IMAGES = Path(__file__).parent / "images"

index = ImageCollectionIndex.from_folder(IMAGES, show_progress=False)
question = "How many sheep are there?"
response = index.as_query_engine(rerank_top_n=2).query(question)

folder, figures = Path(tempfile.mkdtemp()), ""
for citation in citations(response):
    shown, where = Path(citation.source), ""
    region = citation.region(index.llm, question)  # computed now, and not before
    if region is not None:
        shown = folder / f"{citation.n}.png"
        region.explanation.save_png(shown)
        where = "; it points at ({:.0f}, {:.0f}) to ({:.0f}, {:.0f})".format(*region.box)
        print(f"[{citation.n}] {Path(citation.source).name}{where}")
    figures += (
        f'<figure id="{citation.node_id}"><img alt="" src="data:image/png;base64,'
        f'{base64.b64encode(shown.read_bytes()).decode()}">'
        f"<figcaption>[{citation.n}] {html.escape(citation.caption)}{where}</figcaption></figure>"
    )
answer = html.escape(str(response)).replace("\n", "<br>")
page = folder / "answer.html"
page.write_text(
    f'<!doctype html><meta charset="utf-8"><title>{html.escape(question)}</title>'
    f"<h1>{html.escape(question)}</h1><p>{answer}</p>{figures}"
)
print(f"{page} shows {len(citations(response))} images and: {response}")

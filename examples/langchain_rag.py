"""LangChain: find the picture that a question is about by its summary, then look at it.

The model describes every picture once. Summaries are what is searched; the pictures themselves
are what the answer is read from.

Beside the extra `langchain` it needs `pip install langchain-classic`.
"""

import hashlib
import re
from pathlib import Path

from langchain_classic.retrievers import MultiVectorRetriever
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.messages import HumanMessage
from langchain_core.stores import InMemoryStore
from langchain_core.vectorstores import InMemoryVectorStore

from memvr_integrations.langchain import ChatMemVR, image_block

IMAGES = Path(__file__).parent / "images"


class WordEmbeddings(Embeddings):
    """Counts words, so that this runs offline; put a sentence embedding in its place."""

    def embed_query(self, text: str) -> list[float]:
        vector = [0.0] * 512
        for word in re.findall(r"[a-z]+", text.lower()):
            stem = word.removesuffix("s")
            vector[int(hashlib.sha256(stem.encode()).hexdigest(), 16) % 512] += 1.0
        length = sum(value * value for value in vector) ** 0.5 or 1.0
        return [value / length for value in vector]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


model = ChatMemVR(model="bundled")
files = sorted(IMAGES.glob("*.png"))
asked = [[HumanMessage([image_block(file), "Describe the picture."])] for file in files]
summaries = [answer.text for answer in model.batch(asked)]

retriever = MultiVectorRetriever(
    vectorstore=InMemoryVectorStore(WordEmbeddings()),
    byte_store=None,
    docstore=InMemoryStore(),
    id_key="picture",
    search_kwargs={"k": 1},
)
retriever.vectorstore.add_documents(
    [
        Document(summary, metadata={"picture": file.name})
        for file, summary in zip(files, summaries, strict=True)
    ]
)
retriever.docstore.mset([(file.name, Document(str(file))) for file in files])

for question in ("How many sheep are there?", "Do you see a red plate?"):
    [found] = retriever.invoke(question)
    answer = model.invoke([HumanMessage([image_block(found.page_content), question])])
    print(f"{question} {answer.text} ({Path(found.page_content).name})")

"""LangChain: find the pictures that a question is about, look at them, and answer.

The model describes every picture once; descriptions are what is searched, by words and by vectors,
and the pictures themselves are what the answer is read from. Any vector store and any embedding of
LangChain can take the place of these two.
"""

from pathlib import Path

from langchain_core.vectorstores import InMemoryVectorStore

from memvr_integrations.langchain import (
    ChatMemVR,
    ImageLoader,
    PictureRetriever,
    WordEmbeddings,
    create_picture_retrieval_chain,
)

IMAGES = Path(__file__).parent / "images"

model = ChatMemVR(model="bundled")
documents = ImageLoader(IMAGES, model=model).load()
store = InMemoryVectorStore(WordEmbeddings())
retriever = PictureRetriever.from_documents(documents, store)
chain = create_picture_retrieval_chain(model, retriever)

for question in ("How many sheep are there?", "Do you see a red plate?"):
    done = chain.invoke(question)
    files = [Path(picture.metadata["source"]).name for picture in done["cited"]]
    print(f"{question} {done['answer']} ({', '.join(files)})")

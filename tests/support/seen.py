"""LangChain's documents of coloured fields, described by an engine that sees their colour."""

from fields import SeeingEngine, paint
from langchain_core.vectorstores import InMemoryVectorStore

from memvr_integrations.langchain import ChatMemVR, ImageLoader, PictureRetriever, WordEmbeddings


def seeing(**options):
    """A chat model over an engine that says which colour its pictures have."""
    return ChatMemVR(engine=SeeingEngine(), **options)


def loaded_fields(folder, model, names=("red", "green", "blue"), **options):
    """The documents of painted fields."""
    paint(folder, names)
    return ImageLoader(folder, model=model, **{"descriptions": 0, **options}).load()


def retriever_of(documents, **options):
    """A retriever over them, in memory."""
    store = InMemoryVectorStore(WordEmbeddings())
    return PictureRetriever.from_documents(documents, store, **options)

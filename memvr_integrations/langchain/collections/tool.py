"""A tool by which an agent looks into a collection of pictures."""

from collections.abc import Sequence
from typing import TypeAlias

from langchain_core.documents import Document
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel, Field

from memvr_integrations.checks import check_kind
from memvr_integrations.langchain.collections.pictures import source_of
from memvr_integrations.langchain.collections.prompting import picture_block
from memvr_integrations.langchain.failures import langchain_errors

Shown: TypeAlias = tuple[list[dict[str, object]], list[Document]]

ABOUT = "Finds pictures in the collection that show what is looked for, and shows them."
NOTHING = "No picture fits."


class Looked(BaseModel):
    """What an agent fills in."""

    query: str = Field(description="What the pictures shall show.")


def create_picture_retriever_tool(
    retriever: Runnable[str, list[Document]],
    *,
    name: str = "find_pictures",
    description: str = ABOUT,
    show: bool = True,
) -> BaseTool:
    """A tool that finds pictures: the model sees them, and programs get them as artifacts.

    The tool message holds a line with caption and source for each picture, and with `show` the
    pictures themselves; its `artifact` is the list of documents.

    Raises:
        ConfigError: The retriever is none.
    """
    with langchain_errors():
        check_kind("retriever", retriever, Runnable, "PictureRetriever(...), or another retriever")

    def find(query: str) -> Shown:
        return _shown(retriever.invoke(query), show=show)

    async def afind(query: str) -> Shown:
        return _shown(await retriever.ainvoke(query), show=show)

    return StructuredTool.from_function(
        find,
        afind,
        name=name,
        description=description,
        args_schema=Looked,
        response_format="content_and_artifact",
    )


def _shown(found: Sequence[Document], *, show: bool) -> Shown:
    with langchain_errors():
        blocks: list[dict[str, object]] = []
        for number, document in enumerate(found, start=1):
            line = f"[{number}] {document.page_content} ({source_of(document)})"
            blocks.append({"type": "text", "text": line})
            if show:
                blocks.append(picture_block(document))
        return blocks or [{"type": "text", "text": NOTHING}], list(found)

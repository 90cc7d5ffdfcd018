import base64
import io
import threading
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.schema import (
    Document,
    ImageDocument,
    ImageNode,
    MediaResource,
    Node,
    NodeWithScore,
)

from memvr_integrations import langchain
from memvr_integrations.backend.images import load_image, pixel_hash
from memvr_integrations.errors import ImageError, RequestError
from memvr_integrations.llama_index import MemVRMultiModalLLM
from memvr_integrations.llama_index.llm.blocks import image_block, parts_of, pictures_of
from memvr_integrations.types import Image, Text


@pytest.fixture(scope="module")
def picture():
    pixels = np.zeros((6, 5, 3), np.uint8)
    pixels[2:4, 1:3] = (200, 30, 60)
    return PIL.Image.fromarray(pixels)


@pytest.fixture(scope="module")
def encoded(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def file(encoded, tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    path.write_bytes(encoded)
    return path


def same(image, picture):
    return pixel_hash(load_image(image.source)) == pixel_hash(picture)


@pytest.fixture
def forms(picture, encoded, file):
    text = base64.b64encode(encoded).decode()
    return {
        "path": ImageBlock(path=file),
        "bytes": ImageBlock(image=encoded),
        "base64": ImageBlock(image=text.encode()),
        "stream": ImageBlock(image=io.BytesIO(encoded)),
        "data url": ImageBlock(url=f"data:image/png;base64,{text}"),
        "made": image_block(picture),
        "made from an array": image_block(np.asarray(picture)),
        "made from a path": image_block(str(file)),
        "odd name": ImageBlock(path=file.rename(file.with_suffix(".xyz")).rename(file)),
    }


def test_every_block_holds_its_picture(forms, picture):
    for name, block in forms.items():
        [part] = parts_of([block])
        assert same(part, picture), name


async def test_base64_is_decoded_beside_the_event_loop(make_backend, encoded, monkeypatch):
    llm = MemVRMultiModalLLM(engine=make_backend(), max_tokens=1)
    asked = ChatMessage(role="user", blocks=[ImageBlock(image=encoded), TextBlock(text="What?")])
    threads, decode = [], base64.b64decode

    def noting(*given, **options):
        threads.append(threading.current_thread())
        return decode(*given, **options)

    monkeypatch.setattr(base64, "b64decode", noting)
    await llm.achat([asked])
    assert threads
    assert threading.main_thread() not in threads


def test_bytes_that_were_put_into_a_block_later_are_read(encoded, picture):
    block = ImageBlock(image=b"a")
    block.image = encoded
    [part] = parts_of([block])
    assert same(part, picture)


def test_every_document_holds_its_picture(picture, encoded, file):
    text = base64.b64encode(encoded).decode()
    documents = [
        ImageNode(image=text),
        ImageNode(image_path=str(file)),
        ImageNode(image_url=f"data:image/png;base64,{text}"),
        ImageDocument(image=text),
        ImageDocument(image_path=str(file)),
        Node(image_resource=MediaResource(data=encoded)),
        Document(image_resource=MediaResource(path=file)),
        NodeWithScore(node=ImageNode(image=text), score=0.5),
        ImageBlock(path=file),
        Path(file),
        encoded,
        picture,
    ]
    for document, image in zip(documents, pictures_of(documents), strict=True):
        assert same(image, picture), document


def test_blocks_keep_their_order(encoded):
    blocks = [
        TextBlock(text="First:"),
        ImageBlock(image=encoded),
        CitableBlock(
            title="t", source="s", content=[TextBlock(text="cited"), ImageBlock(image=encoded)]
        ),
        CitationBlock(cited_content="said", source="s", title="t", additional_location_info={}),
        ThinkingBlock(content="hm"),
        CachePoint(cache_control={"type": "ephemeral"}),
        ToolCallBlock(tool_name="look"),
        TextBlock(text="Which?"),
    ]
    kinds = [part.text if isinstance(part, Text) else Image for part in parts_of(blocks)]
    assert kinds == ["First:", Image, "cited", Image, "said", "Which?"]


@pytest.mark.parametrize("kind", [AudioBlock, VideoBlock, DocumentBlock])
def test_what_it_cannot_read_is_refused(kind):
    with pytest.raises(RequestError, match=f"{kind.__name__}; MemVRMultiModalLLM reads text and"):
        list(parts_of([kind()]))


def test_what_holds_no_picture_is_refused():
    with pytest.raises(ImageError, match="holds no picture"):
        list(parts_of([ImageBlock()]))
    with pytest.raises(ImageError, match="'a' holds no picture"):
        pictures_of([ImageNode(id_="a")])
    with pytest.raises(RequestError, match="give a list of images"):
        pictures_of("a.png")


def test_a_block_holds_what_langchains_holds(file):
    for source in (file, str(file), file.read_bytes()):
        assert image_block(source).image.decode() == langchain.image_block(source)["base64"]

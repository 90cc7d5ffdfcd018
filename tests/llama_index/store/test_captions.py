"""Captions of nodes and documents, whatever class holds the picture."""

import threading

import pytest
from fields import SeeingEngine, paint
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document, ImageDocument, ImageNode, MediaResource, Node
from pydantic import ValidationError

from memvr_integrations.backend.images import load_image, pixel_hash
from memvr_integrations.errors import ConfigError, ImageError
from memvr_integrations.llama_index import CaptionImages, MemVRMultiModalLLM
from memvr_integrations.llama_index.store import captions
from memvr_integrations.types import Identity

RED = "A field that is red."


@pytest.fixture
def llm():
    return MemVRMultiModalLLM(model="scripted", engine=SeeingEngine())


@pytest.fixture
def red(tmp_path):
    paint(tmp_path / "fields", ["red"])
    return tmp_path / "fields" / "red.png"


def test_every_node_with_a_picture_is_captioned(llm, red):
    nodes = [
        ImageNode(image_path=str(red)),
        ImageDocument(image_path=str(red)),
        Document(image_resource=MediaResource(path=red)),
        Node(image_resource=MediaResource(data=red.read_bytes())),
    ]
    captioned = CaptionImages(llm=llm)(nodes)
    assert [node.get_content() for node in captioned] == [RED] * 4
    assert len(llm.engine.requests) == 1  # for the pictures are equal
    kept = ImageDocument(image_path=str(red), text="mine")
    assert CaptionImages(llm=llm)([kept])[0].get_content() == "mine"
    plain = Document(text="")
    assert CaptionImages(llm=llm)([plain])[0].get_content() == ""
    with pytest.raises(ImageError, match="holds no picture"):
        CaptionImages(llm=llm)([ImageDocument()])


async def test_a_picture_is_read_beside_the_event_loop_and_once(llm, red, monkeypatch):
    threads, read = [], captions.read_image

    def noting(source, policy):
        threads.append(threading.current_thread())
        return read(source, policy)

    monkeypatch.setattr(captions, "read_image", noting)
    await CaptionImages(llm=llm).caption(red)
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
    [image] = llm.engine.requests[0].images
    assert image.source.hash == pixel_hash(load_image(red))
    assert load_image(image.source) is image.source.pixels


class OtherLLM(MockLLM):
    """Says the size of the picture that it was shown."""

    async def achat(self, messages, **options):
        [picture, text] = messages[0].blocks
        shown = load_image(picture.resolve_image().read())
        answer = f"{text.text} {shown.size}"
        return ChatResponse(message=ChatMessage(role="assistant", content=answer))


async def test_another_llm_is_shown_the_picture_in_a_block(red):
    assert await CaptionImages(llm=OtherLLM()).caption(red) == "Describe the picture. (9, 7)"


def test_documents_go_through_a_pipeline(llm, red):
    pipeline = IngestionPipeline(
        transformations=[CaptionImages(llm=llm), SentenceSplitter()], disable_cache=True
    )
    [node] = pipeline.run(documents=[ImageDocument(image_path=str(red))])
    assert node.get_content() == RED


def test_a_typo_is_refused(llm):
    with pytest.raises(ValidationError, match=r"CaptionImages has no option 'promt'.*'prompt'"):
        CaptionImages(llm=llm, promt="x")
    with pytest.raises(ValidationError, match=r"no option 'batchsize'.*'batch_size'"):
        CaptionImages(llm=llm, batchsize=3)


def test_the_folder_of_a_cache_is_made(llm, red, tmp_path):
    cache = tmp_path / "deep" / "captions.sqlite"
    caption = CaptionImages(llm=llm, cache=cache)
    assert caption([ImageNode(image_path=str(red))])[0].text == RED
    assert cache.exists()
    caption.close()
    with pytest.raises(ConfigError, match="can't be used"):
        CaptionImages(llm=llm, cache=red / "c.sqlite")([ImageNode(image_path=str(red))])


async def test_captions_are_those_of_the_model_that_answers(red, tmp_path):
    def captioning(key, name="captions.sqlite"):
        engine = SeeingEngine()
        engine.identity = Identity(name="scripted", key=key, durable=True)
        return CaptionImages(llm=MemVRMultiModalLLM(engine=engine), cache=tmp_path / name)

    for key, asked in (("one", 1), ("two", 1), ("one", 0)):  # the last one after a restart
        made = captioning(key)
        assert await made.caption(red) == RED
        assert len(made.llm.engine.requests) == asked
        made.close()


def test_a_pipeline_keeps_results_under_the_model_that_answers(llm, red):
    other = SeeingEngine()
    other.identity = Identity(name="scripted", key="two", durable=True)
    pipeline = IngestionPipeline(transformations=[CaptionImages(llm=llm)])
    for asked in (MemVRMultiModalLLM(model="scripted", engine=other), llm):
        pipeline.transformations = [CaptionImages(llm=asked)]
        pipeline.run(documents=[ImageDocument(image_path=str(red))])
    assert len(other.requests) == len(llm.engine.requests) == 1


def test_an_llm_is_written_with_the_name_of_the_engine_that_answers(llm):
    made = CaptionImages(llm=MemVRMultiModalLLM(engine=llm.engine))
    assert made.to_dict()["llm"]["model"] == made.llm.to_dict()["model"] == "scripted"
    assert MemVRMultiModalLLM.from_dict(made.llm.to_dict()).model == "scripted"

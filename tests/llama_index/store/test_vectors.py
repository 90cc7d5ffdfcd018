"""A vector store that outlives its process: what a kill leaves half done is done again."""

import contextlib
import itertools
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from fields import COLORS, SeeingEngine, color_of, paint
from forked import forked
from llama_index.core.vector_stores import ExactMatchFilter, MetadataFilters
from llama_index.core.vector_stores.types import BasePydanticVectorStore, VectorStoreQueryResult
from waiting import eventually

from memvr_integrations.grounding.collections.database import Database
from memvr_integrations.llama_index import ImageCollectionIndex, MemVRMultiModalLLM
from memvr_integrations.types import Image as ImagePart


class Killed(BaseException):
    """What nothing in the process can catch, as a kill."""


class Lasting(BasePydanticVectorStore):
    """Vectors that outlive their collection's process, which dies before one of its `steps`.

    One vector taken out or put in is a step. It knows no collection before something is put in,
    and holds a vector twice if that is what it is asked for.
    """

    stores_text: bool = True
    held: list = []  # noqa: RUF012  # pydantic copies it
    begun: bool = False
    steps: int = -1

    @property
    def client(self):
        return None

    def step(self):
        if self.steps == 0:
            raise Killed
        self.steps -= 1

    def add(self, nodes, **kwargs):
        for node in nodes:
            self.step()
            self.begun = True
            self.held.append(node)
        return [node.node_id for node in nodes]

    def delete_nodes(self, node_ids=None, filters=None, **kwargs):
        if not self.begun:
            raise KeyError("no such collection")
        for one in node_ids:
            self.step()
            self.held = [node for node in self.held if node.node_id != one]

    def delete(self, ref_doc_id, **kwargs):
        raise NotImplementedError

    def query(self, query, **kwargs):
        if not self.begun:
            raise KeyError("no such collection")
        wanted = {f.key: f.value for f in query.filters.filters} if query.filters else {}
        found = [
            (float(np.dot(node.embedding, query.query_embedding)), node)
            for node in self.held
            if query.node_ids is None or node.node_id in query.node_ids
            if all(node.metadata.get(key) == value for key, value in wanted.items())
        ]
        found.sort(key=lambda pair: -pair[0])
        best = found[: query.similarity_top_k]
        return VectorStoreQueryResult(
            ids=[node.node_id for _, node in best], similarities=[score for score, _ in best]
        )


NAMES = ("red.png", "green.png", "blue.png")


def opened(place, store):
    llm = MemVRMultiModalLLM(model="scripted", engine=SeeingEngine())
    return ImageCollectionIndex(
        place / "index", llm=llm, vector_store=store, batch_size=2, show_progress=False
    )


def begin(index, photos):
    index.add([photos / name for name in NAMES])


def change(index, photos):
    for name in NAMES[:2]:
        PIL.Image.new("RGB", (11, 7), COLORS["white"]).save(photos / name)
    index.refresh()


def label(index, photos):
    index.add([(photos / name, {"year": 1999}) for name in NAMES[:2]])


def add(index, photos):
    paint(photos, ["white"])
    index.add(photos / "white.png")


def remove(index, photos):
    index.remove([photos / name for name in NAMES[:2] if photos / name in index])


def found(index, **metadata):
    """Each image that search finds, with its caption."""
    equal = [ExactMatchFilter(key=key, value=value) for key, value in metadata.items()]
    retriever = index.as_retriever(similarity_top_k=9, filters=MetadataFilters(filters=equal))
    hits = retriever.retrieve("A field?")
    return sorted((Path(hit.node.image_path).name, hit.node.text) for hit in hits)


def in_step(index):
    """The caption of each image, once store and search were seen to hold each once, and so."""
    described = sorted((Path(node.image_path).name, node.text) for node in index)
    held = sorted((Path(node.image_path).name, node.text) for node in index.vector_store.held)
    assert held == described
    assert found(index) == described if described else not index.vector_store.held
    labelled = [node for node in index if "year" in node.metadata]
    assert len(found(index, year=1999)) == len(labelled) if described else True
    return dict(described)


def dies(index, act, photos, steps):
    """Whether the process dies before it is done; what is written to the records is a step too."""
    store, records = index.vector_store, index._shelf.records
    write = records.write
    records.write = lambda *what: (store.step(), write(*what))
    store.steps = steps
    try:
        act(index, photos)
    except Killed:
        return True
    finally:
        store.steps = -1
        index.close()
    return False


def captions(photos):
    return {file.name: f"A field that is {color_of(ImagePart(file))}." for file in photos.iterdir()}


@pytest.mark.parametrize("act", [begin, change, label, add, remove])
def test_what_a_kill_left_half_done_is_done_again(tmp_path, act):
    for steps in itertools.count():
        place, store = tmp_path / str(steps), Lasting()
        photos = place / "photos"
        place.mkdir()
        paint(photos, [Path(name).stem for name in NAMES])
        if act is not begin:
            with opened(place, store) as index:
                begin(index, photos)
        died = dies(opened(place, store), act, photos, steps)
        with opened(place, store) as index:
            in_step(index)
            index.refresh()
            held = in_step(index)
            assert held.items() <= captions(photos).items()
            act(index, photos)
            gone = NAMES[:2] if act is remove else ()
            expected = {k: text for k, text in captions(photos).items() if k not in gone}
            assert in_step(index) == expected
        if not died:
            break
    assert steps >= 4


def test_a_process_may_die_again_while_it_mends(tmp_path):
    paint(tmp_path / "photos", [Path(name).stem for name in NAMES])
    store = Lasting()
    with opened(tmp_path, store) as index:
        begin(index, tmp_path / "photos")
    assert dies(opened(tmp_path, store), change, tmp_path / "photos", 1)
    for steps in itertools.count():
        store.steps = steps
        try:
            opened(tmp_path, store).close()
            break
        except Killed:
            store.steps = -1
    assert steps >= 3
    store.steps = -1
    with opened(tmp_path, store) as index:
        index.refresh()
        assert in_step(index) == captions(tmp_path / "photos")


def test_a_store_that_is_filled_anew_may_be_killed_too(tmp_path):
    paint(tmp_path / "photos", [Path(name).stem for name in NAMES])
    with opened(tmp_path, Lasting()) as index:
        begin(index, tmp_path / "photos")
    store = Lasting(steps=2)
    with pytest.raises(Killed):
        opened(tmp_path, store)
    store.steps = -1
    with opened(tmp_path, store) as index:
        assert in_step(index) == captions(tmp_path / "photos")


def test_an_error_of_the_store_leaves_the_collection_as_usable_as_before(tmp_path, monkeypatch):
    paint(tmp_path / "photos", [Path(name).stem for name in NAMES])
    with opened(tmp_path, Lasting()) as index:
        begin(index, tmp_path / "photos")
        with monkeypatch.context() as broken:
            broken.setattr(Lasting, "add", lambda *given, **more: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                change(index, tmp_path / "photos")
        index.refresh()
        assert in_step(index) == captions(tmp_path / "photos")


def test_what_could_not_be_taken_out_is_not_there_twice_later(tmp_path, monkeypatch):
    paint(tmp_path / "photos", [Path(name).stem for name in NAMES])
    with opened(tmp_path, Lasting()) as index:
        begin(index, tmp_path / "photos")
        delete, failing = Lasting.delete_nodes, [1, 2]
        monkeypatch.setattr(
            Lasting, "delete_nodes", lambda *what: failing.pop() / 0 if failing else delete(*what)
        )
        with pytest.raises(ZeroDivisionError):
            remove(index, tmp_path / "photos")
        assert found(index) == [("blue.png", "A field that is blue.")]
        begin(index, tmp_path / "photos")
        assert not failing
        assert in_step(index) == captions(tmp_path / "photos")


def test_another_process_waits_until_it_is_alone(tmp_path):
    """And one that is killed lets go."""
    file, opened, inside = (tmp_path / name for name in ("a.sqlite", "opened", "inside"))

    def stay():
        eventually(opened.exists)
        with Database(file).alone():
            inside.touch()
            time.sleep(60)

    other = forked(stay)
    with contextlib.closing(Database(file)) as database:
        opened.touch()
        eventually(inside.exists)
        entered = threading.Event()

        def enter():
            with database.alone():
                entered.set()

        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(0.3)
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)
        thread.join(10)
        assert entered.is_set()

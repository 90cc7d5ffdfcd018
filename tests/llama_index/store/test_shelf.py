"""What comes into a collection: in every form, with what is said of it, or with a warning."""

import base64
import datetime
import errno
import os
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from fields import COLORS, SeeingEngine, collection, paint

from memvr_integrations.errors import ConfigError, MemVRWarning
from memvr_integrations.llama_index import ImageCollectionIndex, MemVRMultiModalLLM


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "fields"
    paint(made, ["red", "green", "blue"])
    return made


@pytest.fixture
def options():
    llm = MemVRMultiModalLLM(model="scripted", engine=SeeingEngine())
    return {"llm": llm, "show_progress": False}


@pytest.fixture
def index(tmp_path):
    return collection(tmp_path / "fields", SeeingEngine())


def names(index):
    return sorted(Path(node.image_path).stem for node in index)


def field(color):
    return PIL.Image.new("RGB", (9, 7), COLORS[color])


@pytest.mark.parametrize("size", [-1, 0, True, 1.5, "4"])
def test_a_batch_holds_at_least_one(folder, options, size):
    with pytest.raises(ConfigError, match=f"batch_size={size!r} must be an integer of at least 1"):
        ImageCollectionIndex.from_folder(folder, batch_size=size, **options)


@pytest.mark.parametrize("again", ["refresh", "from_folder"])
def test_a_file_that_broke_is_forgotten_as_the_warning_says(folder, options, tmp_path, again):
    index = ImageCollectionIndex.from_folder(folder, persist_dir=tmp_path / "i", **options)

    def look_again():
        if again == "refresh":
            index.refresh()
            return index
        return ImageCollectionIndex.from_folder(folder, persist_dir=tmp_path / "i", **options)

    (folder / "red.png").write_bytes(b"garbage")
    with pytest.warns(MemVRWarning, match=r"1 of 3 images .* left out, the first: .*red\.png"):
        index = look_again()
    assert names(index) == ["blue", "green"]
    found = index.as_retriever().retrieve("A red field?")
    assert sorted(Path(one.node.image_path).stem for one in found) == ["blue", "green"]
    paint(folder, ["red"])
    index.add(folder / "red.png")
    assert names(index) == ["blue", "green", "red"]
    assert not index.failures


def test_a_renamed_folder_is_not_there_twice(folder, options, tmp_path):
    place = tmp_path / "i"
    ImageCollectionIndex.from_folder(folder, persist_dir=place, **options).close()
    renamed = folder.rename(tmp_path / "meadows")
    index = ImageCollectionIndex.from_folder(renamed, persist_dir=place, **options)
    assert len(index) == 3
    assert all("meadows" in node.image_path for node in index)


def test_a_link_is_found_by_its_path(folder, options, monkeypatch):
    (folder / "link.png").symlink_to(folder / "red.png")
    index = ImageCollectionIndex.from_folder(folder, **options)
    assert names(index) == ["blue", "green", "link", "red"]
    monkeypatch.chdir(folder.parent)
    node = index["fields/link.png"]
    assert node.image_path.endswith("link.png")
    index.add(["fields/link.png"])
    assert len(index) == 4
    index.remove([node.image_path])
    assert names(index) == ["blue", "green", "red"]
    (folder.parent / "other").symlink_to(folder)
    assert index["other/red.png"] == index[folder / "red.png"]  # a link among its folders


def test_one_image_needs_no_list(folder, options, tmp_path):
    index = ImageCollectionIndex.from_images(str(folder / "red.png"), **options)
    index.add(folder / "green.png")
    index.add((folder / "blue.png", {"year": 2024}))
    index.add(field("white"))
    index.add(np.asarray(field("white").resize((4, 4))))
    index.add((folder / "red.png").read_bytes())
    assert len(index) == 6
    assert index[folder / "blue.png"].metadata["year"] == 2024
    index.remove(str(folder / "red.png"))
    index.remove(folder / "green.png")
    assert len(index) == 4
    with pytest.raises(ConfigError, match=r"list\(images\.items"):
        index.add({folder / "red.png": {"year": 1}})
    with pytest.raises(ConfigError, match="'nowhere' is not in this collection"):
        index.remove("nowhere")


def test_what_is_held_can_be_asked(index, tmp_path):
    red = tmp_path / "fields" / "red.png"
    assert red in index
    assert str(red) in index
    assert index[red] in index
    assert index[red].node_id in index
    assert tmp_path / "none.png" not in index
    assert 3 not in index


@pytest.mark.parametrize("bad", [b"no image", None, float("nan"), 7, b""])
def test_one_bad_entry_does_not_end_the_others(folder, options, bad):
    images = [folder / "red.png", bad, folder / "blue.png"]
    with pytest.warns(MemVRWarning, match=r"1 of 3 .* image 1 \(counted from 0\): .*image.*\. See"):
        index = ImageCollectionIndex.from_images(images, **options)
    assert names(index) == ["blue", "red"]
    assert list(index.failures) == ["image 1"]
    with pytest.warns(MemVRWarning, match="image 1"):
        index = ImageCollectionIndex.from_dataframe(pd.DataFrame({"image": images}), **options)
    assert names(index) == ["blue", "red"]


def test_what_was_said_stays_until_something_else_is_said(folder, options, tmp_path):
    place, engine = tmp_path / "i", options["llm"].engine

    def made(**more):
        more |= {"persist_dir": place, "descriptions": 0}
        return ImageCollectionIndex.from_folder(folder, **more, **options)

    made(metadata=lambda path: {"letters": len(path.stem)}).close()
    asked = len(engine.requests)
    index = made()
    index.add(folder / "red.png")
    field("white").save(folder / "green.png")
    os.utime(folder / "green.png", ns=(1, 1))
    index.refresh()
    letters = {Path(node.image_path).stem: node.metadata["letters"] for node in index}
    assert letters == {"red": 3, "green": 5, "blue": 4}
    assert index[folder / "green.png"].text == "A field that is white."
    before = (folder / "red.png").stat()
    (folder / "red.png").write_bytes(bytes(before.st_size))
    os.utime(folder / "red.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    # Other words for a picture need no new caption.
    index.add([(folder / "red.png", {"letters": 0})])
    assert index[folder / "red.png"].metadata["letters"] == 0
    index.add([(folder / "red.png", {})])
    assert "letters" not in index[folder / "red.png"].metadata
    assert len(engine.requests) == asked + 1


def test_values_become_what_json_holds(folder, options):
    said = {
        "day": datetime.date(2024, 5, 1),
        "count": np.int64(3),
        "share": np.float32(0.5),
        "missing": float("nan"),
        "never": pd.NaT,
        "tags": ("a", np.int64(1)),
        3: "three",
    }
    index = ImageCollectionIndex.from_images([(folder / "red.png", said)], **options)
    found = index[folder / "red.png"].metadata
    assert {key: found[key] for key in map(str, said)} == {
        "day": "2024-05-01",
        "count": 3,
        "share": 0.5,
        "missing": None,
        "never": None,
        "tags": ["a", 1],
        "3": "three",
    }
    asked = len(options["llm"].engine.requests)
    index.add([(folder / "red.png", said)])
    assert len(options["llm"].engine.requests) == asked


@pytest.mark.parametrize("said", [{"who": object()}, {"who": {"a", "b"}}, None, "red"])
def test_what_json_does_not_hold_is_refused_before_anything_is_kept(folder, options, said):
    index = ImageCollectionIndex(**options)
    key = r"metadata\['who'\]" if isinstance(said, dict) else "The metadata"
    with pytest.raises(ConfigError, match=rf"{key} of .*red\.png.* is a "):
        index.add([folder / "blue.png", (folder / "red.png", said)])
    with pytest.raises(ConfigError, match=rf"{key} of "):
        ImageCollectionIndex.from_folder(folder, metadata=lambda path: said, **options)
    assert not len(index)
    assert not index.vector_store.data.embedding_dict
    with pytest.raises(ConfigError, match="a tuple of 3"):
        index.add([(folder / "red.png", {}, {})])


def test_data_urls_are_pictures(folder, options):
    data = base64.b64encode((folder / "red.png").read_bytes()).decode()
    index = ImageCollectionIndex.from_images([f"data:image/png;base64,{data}"], **options)
    assert [node.text for node in index] == ["A field that is red."]
    with pytest.warns(MemVRWarning, match="1 of 1 images"):
        index.add(["data:image/png;base64,AAAA"])
    with pytest.warns(MemVRWarning, match="1 of 1 images"):
        index.add(["x" * 5000])  # no name that a file can have
    assert "x" * 5000 not in index


async def test_warnings_point_to_the_callers_line(index, folder):
    (folder / "red.png").write_bytes(b"garbage")
    for describe in (index.refresh, lambda: index.add(folder / "red.png")):
        with pytest.warns(MemVRWarning) as warned:
            describe()
        assert [one.filename for one in warned] == [__file__]
    with pytest.warns(MemVRWarning) as warned:
        await index.aadd([folder / "red.png"])
    assert [one.filename for one in warned] == [__file__]


def test_a_picture_that_cannot_be_kept_is_a_clear_error(options, tmp_path, monkeypatch):
    index = ImageCollectionIndex(tmp_path / "i", **options)

    def full(self, file, kind):
        file.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(PIL.Image.Image, "save", full)
    with pytest.raises(ConfigError, match=r"kept in .*images \(No space left on device\); make"):
        index.add(field("red"))
    assert not list((tmp_path / "i" / "images").iterdir())


def test_two_may_keep_the_same_picture_at_once(options, tmp_path, monkeypatch):
    index = ImageCollectionIndex(tmp_path / "i", **options)
    save, within = PIL.Image.Image.save, []

    def meanwhile(self, file, kind):
        save(self, file, kind)
        if not within:
            within.append(1)
            within.extend(index.add(field("red")))

    monkeypatch.setattr(PIL.Image.Image, "save", meanwhile)
    assert index.add(field("red")) == within[1:]
    assert len(list((tmp_path / "i" / "images").iterdir())) == len(index) == 1


def test_what_could_not_be_forgotten_is_found_still(index, tmp_path, monkeypatch):
    def fail(ids):
        raise ConfigError("full")

    monkeypatch.setattr(index._shelf.records, "remove", fail)
    with pytest.raises(ConfigError, match="full"):
        index.remove(tmp_path / "fields" / "red.png")
    assert len(index.as_retriever(similarity_top_k=9).retrieve("red")) == len(index) == 3

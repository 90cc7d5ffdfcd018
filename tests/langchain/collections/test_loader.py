"""Pictures become documents: from every source, once, and with what can't be read said."""

import asyncio
import functools
import json
from pathlib import Path

import PIL.Image
import pytest
from fields import COLORS, SeeingEngine, paint
from pdfs import encrypted, scan
from seen import seeing

from memvr_integrations.errors import ConfigError, ImageError, MemVRWarning
from memvr_integrations.langchain import ChatMemVR, ImageLoader
from memvr_integrations.types import Identity


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "fields"
    paint(made, ["red", "green", "blue"])
    return made


@pytest.fixture
def model():
    return seeing()


def texts(documents):
    return [document.page_content for document in documents]


def fields(*colors):
    return [f"A field that is {color}." for color in colors]


def test_a_folder_becomes_documents(folder, model):
    found = ImageLoader(folder, model=model, facets={"sort": "Which one?"}).load()
    assert texts(found) == fields("blue", "green", "red")
    blue = found[0]
    assert blue.metadata == {
        "source": str(folder.resolve() / "blue.png"),
        "width": 9,
        "height": 7,
        "unsureness": 0.2,
        "sort": "I see blue.",
        "descriptions": "A field that is blue.\nA field that is blue.\nI see blue.",
    }
    assert len({one.id for one in found}) == 3
    assert [one.id for one in ImageLoader(folder, model=model).load()] == [one.id for one in found]


async def test_both_ways_to_load_give_the_same_lazily(folder, model):
    loader = ImageLoader(folder, model=model, batch_size=1, descriptions=0)
    first = next(loader.lazy_load())
    assert len(model.engine.requests) == 1
    assert await anext(loader.alazy_load()) == first
    assert texts([one async for one in loader.alazy_load()]) == texts(loader.load())


def test_what_was_described_is_kept_by_pixels_and_model(folder, tmp_path):
    def asked(key="one", **options):
        engine = SeeingEngine()
        engine.identity = Identity(name="scripted", key=key, durable=True)
        model = ChatMemVR(engine=engine)
        found = ImageLoader(folder, model=model, cache=tmp_path / "deep" / "c", **options).load()
        assert all(document.metadata["unsureness"] == 0.2 for document in found)
        return len(engine.requests)

    assert asked() == 6
    (folder / "blue.png").rename(folder / "renamed.png")
    assert asked() == 0
    assert asked(facets={"sort": "Which one?"}) == 3
    assert asked(prompt="Describe it.", descriptions=0) == 3
    assert asked("two") == 6


def test_killed_in_the_middle_it_goes_on_where_it_was(folder, model, tmp_path):
    options = {"model": model, "cache": tmp_path / "c", "descriptions": 0, "batch_size": 1}
    begun = ImageLoader(folder, **options).lazy_load()
    next(begun), next(begun)
    begun.close()
    assert len(ImageLoader(folder, **options).load()) == 3
    assert len(model.engine.requests) == 3


def test_equal_pictures_of_a_batch_are_described_once(tmp_path, model):
    paint(tmp_path / "same", ["red", "red again", "red too"])
    assert len(ImageLoader(tmp_path / "same", model=model, descriptions=0).load()) == 3
    assert len(model.engine.requests) == 1


@pytest.mark.parametrize(("name", "tab"), [("t.csv", ","), ("t.tsv", "\t")])
def test_a_table_names_pictures_and_says_what_it_knows(folder, model, name, tab):
    rows = [("file", "year"), ("red.png", "2020"), (str(folder / "blue.png"), "2021")]
    (folder / name).write_text("".join(f"{a}{tab}{b}\n" for a, b in rows))
    found = ImageLoader(folder / name, model=model, image_column="file").load()
    assert texts(found) == fields("red", "blue")
    assert [one.metadata["year"] for one in found] == ["2020", "2021"]
    with pytest.raises(ConfigError, match=r"no column 'image' but file, year; name"):
        ImageLoader(folder / name, model=model).load()


def test_parquet_may_hold_the_pictures_themselves(folder, model, tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    data = [(folder / f"{color}.png").read_bytes() for color in ("red", "green")]
    rows = {"image": [{"bytes": one, "path": None} for one in data], "n": [1, 2]}
    parquet.write_table(arrow.table(rows), tmp_path / "t.parquet")
    found = ImageLoader(tmp_path / "t.parquet", model=model, keep=tmp_path / "kept").load()
    assert texts(found) == fields("red", "green")
    assert [one.metadata["n"] for one in found] == [1, 2]
    assert Path(found[0].metadata["source"]).parent == tmp_path / "kept"
    with pytest.raises(ConfigError, match=r"in no file.*give keep="):
        ImageLoader(tmp_path / "t.parquet", model=model).load()


def test_without_a_reader_of_parquet_it_says_so(tmp_path, model, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "t.parquet").write_bytes(b"")
    with pytest.raises(ConfigError, match="needs pyarrow: pip install pyarrow"):
        ImageLoader(tmp_path / "t.parquet", model=model).load()


def test_a_pdf_is_its_pages(tmp_path, model):
    pages = [PIL.Image.new("RGB", (9, 7), COLORS[color]) for color in ("red", "blue")]
    found = ImageLoader(scan(tmp_path / "a.pdf", pages), model=model).load()
    assert texts(found) == fields("red", "blue")
    assert [one.metadata["page"] for one in found] == [1, 2]
    assert found[1].metadata["source"].endswith("a.pdf#page=2")


def test_pictures_in_memory_are_kept_as_files(tmp_path, model):
    red = PIL.Image.new("RGB", (9, 7), COLORS["red"])
    [one] = ImageLoader([(red, {"year": 1})], model=model, keep=tmp_path / "kept").load()
    assert (one.page_content, one.metadata["year"]) == ("A field that is red.", 1)
    assert Path(one.metadata["source"]).is_file()


def test_what_cannot_be_read_is_left_out_and_said(folder, model):
    (folder / "cut.png").write_bytes((folder / "red.png").read_bytes()[:40])
    (folder / "secret.pdf").write_bytes(encrypted())
    loader = ImageLoader(folder, model=model)
    with pytest.warns(MemVRWarning, match=r"2 image\(s\) could not be read .*secret\.pdf") as seen:
        assert len(loader.load()) == 3
    assert seen[0].filename == __file__
    assert sorted(Path(one).name for one in loader.failures) == ["cut.png", "secret.pdf"]
    with pytest.raises(ImageError, match="is encrypted"):
        ImageLoader(folder, model=model, on_error="raise").load()
    (folder / "secret.pdf").unlink()
    with pytest.raises(ImageError, match=r"cut\.png"):
        ImageLoader(folder, model=model, on_error="raise").load()


class Verdict:
    def __init__(self, text):
        self.text = text

    def to_dict(self):
        return {"claims": [{"text": self.text, "probability": 0.5}]}


asked_to_check = []


def check(engine, request, completion, *, config=None):
    asked_to_check.append((engine, request, completion))
    return Verdict(completion.text)


async def acheck(engine, request, completion):
    await asyncio.sleep(0)
    return Verdict(completion.text)


@pytest.mark.parametrize("verify", [check, acheck, functools.partial(check, config="low")])
def test_a_check_is_asked_once_for_each_picture(folder, model, tmp_path, verify):
    asked_to_check.clear()
    for _ in range(2):
        found = ImageLoader(folder, model=model, verify=verify, cache=tmp_path / "c").load()
        [claim] = json.loads(found[0].metadata["checked"])["claims"]
        assert claim == {"text": "A field that is blue.", "probability": 0.5}
    if verify is acheck:
        return
    assert len(asked_to_check) == 3
    engine, request, completion = asked_to_check[0]
    assert engine is model.engine
    assert len(request.images) == 1
    assert completion.tokens


def test_a_caption_that_was_kept_can_be_checked_later(folder, model, tmp_path):
    asked_to_check.clear()
    ImageLoader(folder, model=model, cache=tmp_path / "c").load()
    ImageLoader(folder, model=model, verify=check, cache=tmp_path / "c").load()
    assert sorted(one.text for _, _, one in asked_to_check) == fields("blue", "green", "red")


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"batch_size": 0}, "batch_size=0 must be an integer of at least 1"),
        ({"on_error": "pass"}, "on_error='pass' must be one of"),
        ({"descriptions": -1}, "descriptions=-1"),
        ({"prompt": " "}, "prompt=' ' must be a text"),
        ({"facets": {"": "Where?"}}, "A name in facets"),
        ({"model": "bundled"}, r"give ChatMemVR\(model="),
    ],
)
def test_wrong_options_are_refused_when_it_is_made(folder, model, wrong, hint):
    with pytest.raises(ConfigError, match=hint):
        ImageLoader(folder, **{"model": model, **wrong})


def test_a_folder_that_is_none_is_refused(tmp_path, model):
    with pytest.raises(ConfigError, match="none is not there; give a folder"):
        ImageLoader(tmp_path / "none", model=model).load()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no image"):
        ImageLoader(tmp_path / "empty", model=model).load()

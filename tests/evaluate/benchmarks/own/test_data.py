"""A benchmark out of a file of one's own."""

import json

import pytest
from PIL import Image

from memvr_integrations.errors import BenchmarkError, ConfigError, MemVRWarning
from memvr_integrations.evaluate.benchmarks.benchmark import FromFile, Truthful
from memvr_integrations.evaluate.benchmarks.catalog import load_benchmark
from memvr_integrations.evaluate.running.statistics import total

HEAD = "image,question,answer,choices,id,kind\n"
ROWS = (
    "photos/a.png,Is it red?,Yes,,,\n"
    "./photos/a.png,Is it blue?,no,,,yes/no\n"
    "photos/b.png,Which?,red,red|blue,two,\n"
    "photos/b.png,What?,dog|puppy,,,\n"
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (4, 4), "red").save(tmp_path / "photos" / f"{name}.png")
    return tmp_path


@pytest.fixture
def own(folder):
    def load(text, name="own.csv"):
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return load_benchmark(str(path))

    return load


def test_by_hand(own):
    asked = own(HEAD + ROWS)
    assert isinstance(asked, FromFile)
    assert isinstance(asked, Truthful)
    assert [one.id for one in asked.questions] == ["line 2", "line 3", "two", "line 5"]
    assert [one.group for one in asked.questions] == ["photos/a.png"] * 2 + ["photos/b.png"] * 2
    said = {"line 2": "Yes.", "line 3": "Hm.", "two": "(B)", "line 5": "A puppy"}
    assert asked.right(said) == {"line 2": True, "line 3": False, "two": False, "line 5": True}
    figures = asked.figures(total(asked.marks(said)))
    assert next(iter(figures)) == "accuracy"
    assert figures["accuracy"] == 50
    assert figures["yes-no/accuracy"] == figures["yes-no/unsure"] == 50
    assert (figures["choice/accuracy"], figures["choice/unsure"]) == (0, 0)
    assert figures["text/accuracy"] == 100


def test_kinds_are_reported(own):
    asked = own(HEAD + ROWS)
    assert asked.about == (
        "own.csv: 4 questions about 2 pictures: 2 yes/no, 1 choice, 1 text; 3 kinds derived from "
        "rows, 1 named by the file"
    )
    first, second, third, _ = asked.questions
    assert asked.kind(first) == "yes/no, derived from the row"
    assert asked.kind(second) == "yes/no, as the file says"
    assert asked.truth(third) == "(A) red"


def test_one_kind_alone_has_no_figure_of_all(own):
    asked = own("image,question,answer\nphotos/a.png,Is it red?,yes\n")
    assert asked.about.startswith("own.csv: 1 question about 1 picture: 1 yes/no; 1 kind")
    assert "accuracy" not in asked.figures(total(asked.marks({"line 2": "yes"})))


def test_json_lines_are_the_same_benchmark(own):
    lines = [
        {"image": "photos/a.png", "question": "Is it red?", "answer": "Yes"},
        {"image": "photos/b.png", "question": "What?", "answer": ["dog", "a|b"], "id": 7},
    ]
    asked = own("".join(json.dumps(line) + "\n" for line in lines), "own.JSONL")
    assert [one.id for one in asked.questions] == ["line 1", "7"]
    assert asked.right({"line 1": "no", "7": "a|b"}) == {"line 1": False, "7": True}


def test_a_file_is_what_it_holds_and_not_where_it_lies(own):
    one, same = own(HEAD + ROWS), own(HEAD + ROWS, "renamed.csv")
    assert one.content_hash == same.content_hash != own(HEAD + ROWS + ROWS[:29]).content_hash
    assert [q.group for q in one.questions] == [q.group for q in same.questions]


def test_paths_as_other_systems_write_them(own, folder):
    Image.new("RGB", (4, 4)).save(folder / "photos" / "cafe\u0301.png")
    asked = own(
        "image,question,answer\nphotos\\a.png,Is it?,yes\nphotos/caf\u00e9.png,Is it?,yes\n"
    )
    assert [one.images[0].name for one in asked.questions] == ["a.png", "cafe\u0301.png"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("photos/a.png,Is it?,,,,", "'answer' is missing or empty"),
        ("photos/a.png,,yes,,,", "'question' is missing or empty"),
        (",Is it?,yes,,,", "'image' is missing or empty"),
        ("photos/a.png", "'question' is missing or empty"),
        ("a.png,Is it?,yes,,,", "'image' is 'a.png', and there is no such file; paths start from"),
        ("photos,Is it?,yes,,,", "there is no such file"),
        ("https://a/b.png,Is it?,yes,,,", "an address; save the picture"),
        ("own.csv,Is it?,yes,,,", "'image' can't be used: .*looks like text"),
        ("cut.png,Is it?,yes,,,", "'image' can't be used: .*; save it anew"),
        ("photos/a.png,Is it?,yes,,one,", r"id 'one' was there before \(.*own.csv, line 2\)"),
        ("photos/a.png,Is it?,yes,,,guess", "'kind' is 'guess'"),
    ],
)
def test_a_row_that_is_refused_is_named(own, folder, row, said):
    noise = Image.effect_noise((64, 64), 50)
    noise.save(folder / "whole.png")
    (folder / "cut.png").write_bytes((folder / "whole.png").read_bytes()[:2000])
    with pytest.raises(BenchmarkError, match=rf"own\.csv, line 3: .*{said}"):
        own(f"{HEAD}photos/a.png,Is it red?,yes,,one,\n{row}\n")


def test_columns_that_are_not_used_are_named(own):
    with pytest.warns(MemVRWarning, match="not used: 'choises', 'source'.*Did you mean 'choices'"):
        own("image,question,answer,source,choises\nphotos/a.png,Is it?,yes,me,x\n")


def test_what_is_no_file_of_ours(own, folder):
    with pytest.raises(BenchmarkError, match=r"nowhere\.csv can't be read.*\.csv or \.jsonl"):
        load_benchmark(str(folder / "nowhere.csv"))
    with pytest.raises(BenchmarkError, match="has no rows"):
        own(HEAD)
    with pytest.raises(ConfigError, match="leave the folder out"):
        load_benchmark("own.csv", folder)
    with pytest.raises(ConfigError, match=r"files of your own that end in \.csv or \.jsonl"):
        load_benchmark("own.xlsx")

import json

import pytest

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.pope import load_pope
from memvr_integrations.evaluate.benchmarks.presence import SPLITS
from memvr_integrations.evaluate.running.statistics import total

ASKED = [("a.jpg", "dog", "yes"), ("a.jpg", "cat", "no"), ("b.jpg", "cup", "yes")]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "val2014").mkdir()
    for image in ("a.jpg", "b.jpg"):
        (tmp_path / "val2014" / image).touch()
    for split in SPLITS:
        write(tmp_path, split, ASKED)
    return tmp_path


def write(folder, split, asked):
    lines = [
        {"question_id": number, "image": image, "text": f"Is there a {thing}?", "label": label}
        for number, (image, thing, label) in enumerate(asked, start=1)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / f"coco_pope_{split}.json").write_text(text)


def test_questions_of_all_splits_are_grouped_by_image(folder):
    pope = load_pope(folder)
    assert len(pope.questions) == 9
    first = pope.questions[0]
    assert (first.id, first.text, first.group) == ("random/1", "Is there a dog?", "a.jpg")
    assert first.images == (folder / "val2014" / "a.jpg",)


def test_the_layout_of_the_repository(folder):
    (folder / "output" / "coco").mkdir(parents=True)
    for split in SPLITS:
        name = f"coco_pope_{split}.json"
        (folder / name).rename(folder / "output" / "coco" / name)
    assert len(load_pope(folder).questions) == 9


def test_by_hand(folder):
    pope = load_pope(folder)
    answers = {"popular/1": "Yes", "popular/2": "Yes.", "popular/3": "I know"}
    marks = pope.marks(answers)
    assert set(marks) == {"a.jpg", "b.jpg"}
    figures = pope.figures(total(marks))
    assert not [name for name in figures if not name.startswith("popular/")]
    # The last answer is yes for the official parser, no for VCD's, unsure for the others.
    expected = {
        "official": (66.7, 66.7, 100, 80, 100),
        "vcd": (33.3, 50, 50, 50, 66.7),
        "lmms-eval": (33.3, 100, 100, 100, 33.3),
        "vlmevalkit": (33.3, 50, 50, 50, 66.7),
    }
    for parser, values in expected.items():
        names = ("accuracy", "precision", "recall", "F1", "yes ratio")
        found = [figures[f"popular/{parser}/{name}"] for name in names]
        assert found == pytest.approx(values, abs=0.05), parser
    assert pope.right(answers) == {"popular/1": True, "popular/2": False, "popular/3": True}
    assert all(pope.right({one.id: pope.truth(one) for one in pope.questions}).values())


def test_an_unknown_label_is_named_by_file_and_line(folder):
    write(folder, "popular", [ASKED[0], ("a.jpg", "cat", "maybe")])
    with pytest.raises(BenchmarkError, match=r"coco_pope_popular\.json, line 2.*maybe.*yes, no"):
        load_pope(folder)


def test_what_is_missing_is_said_with_where_to_get_it(folder):
    (folder / "val2014" / "b.jpg").unlink()
    with pytest.raises(BenchmarkError, match=r"1 of 2 images.*b\.jpg.*zips/val2014\.zip"):
        load_pope(folder)
    (folder / "coco_pope_popular.json").unlink()
    with pytest.raises(BenchmarkError, match=r"coco_pope_popular\.json.*AoiDragon/POPE"):
        load_pope(folder)

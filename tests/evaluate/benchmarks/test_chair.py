import json

import pytest

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.chair import load_chair
from memvr_integrations.evaluate.benchmarks.presence import caption_figures, caption_marks
from memvr_integrations.evaluate.running.statistics import total

INSTANCES = {
    "images": [{"id": n, "file_name": f"COCO_val2014_{n:012}.jpg"} for n in (1, 2, 3)],
    "categories": [{"id": 18, "name": "dog"}, {"id": 62, "name": "chair"}],
    "annotations": [
        {"image_id": 1, "category_id": 18},
        {"image_id": 1, "category_id": 62},
        {"image_id": 2, "category_id": 62},
        {"image_id": 9, "category_id": 62},
    ],
}
CAPTIONS = {
    "annotations": [
        {"image_id": 1, "caption": "A man with his dog."},
        {"image_id": 1, "caption": "A puppy in the sun."},
        {"image_id": 9, "caption": "A pizza."},
    ]
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2014").mkdir()
    write(tmp_path, "instances", INSTANCES)
    write(tmp_path, "captions", CAPTIONS)
    for number in (1, 2):
        (tmp_path / "val2014" / f"COCO_val2014_{number:012}.jpg").touch()
    return tmp_path


def write(folder, kind, data):
    (folder / "annotations" / f"{kind}_val2014.json").write_text(json.dumps(data))


def test_truth_comes_from_marks_and_captions(folder):
    chair = load_chair(folder)
    assert chair.there == {"1": {"dog", "chair", "person"}, "2": {"chair"}}
    assert {question.id for question in chair.questions} == {"1", "2"}
    assert chair.questions[0].max_tokens == 512


def test_by_hand(folder):
    chair = load_chair(folder)
    answers = {
        # dog, dog, person, cat: one of four is wrong; two of the three things are named
        "1": "A dog, a dog and a woman with a cat.",
        # chair, chair: none is wrong, and the one thing is named
        "2": "Two chairs beside a stool",
    }
    figures = chair.figures(total(chair.marks(answers)))
    assert figures == pytest.approx(
        {"CHAIR_S": 50, "CHAIR_I": 100 / 6, "recall": 75, "length, words": 7.5}
    )
    assert chair.right(answers) == {}
    truths = {one.id: chair.truth(one) for one in chair.questions}
    assert truths == {"1": "chair, dog, person", "2": "chair"}


def test_a_silent_caption_hallucinates_nothing_and_recalls_nothing():
    counts = caption_marks([], frozenset({"dog"}), words=0)
    assert caption_figures(counts) == {"CHAIR_S": 0, "recall": 0, "length, words": 0}
    assert caption_figures({}) == {}


def test_images_are_sampled_by_seed(folder):
    sampled = [load_chair(folder, count=1, seed=seed).questions[0].id for seed in range(8)]
    assert sampled == [load_chair(folder, count=1, seed=seed).questions[0].id for seed in range(8)]
    assert set(sampled) == {"1", "2"}


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("instances", {"images": []}, r"instances_val2014\.json: there is no field 'categories'"),
        (
            "instances",
            INSTANCES | {"categories": [{"id": 18, "name": "unicorn"}]},
            "categories 1: 'unicorn' is none of COCO's 80",
        ),
        (
            "instances",
            INSTANCES | {"annotations": [{"image_id": 1, "category_id": 5}]},
            "annotations 1: there is no category 5",
        ),
        ("instances", INSTANCES | {"images": []}, "none of the annotated images"),
        ("captions", {"annotations": [{"image_id": 1}]}, "annotations 1: there is no .*'caption'"),
    ],
)
def test_malformed_annotations_are_named(folder, kind, data, message):
    write(folder, kind, data)
    with pytest.raises(BenchmarkError, match=message):
        load_chair(folder)


def test_what_is_missing_is_said(folder):
    (folder / "annotations" / "captions_val2014.json").unlink()
    with pytest.raises(BenchmarkError, match=r"captions_val2014.*annotations_trainval2014\.zip"):
        load_chair(folder)

import json

import pytest

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.amber import Description, Words, describe, load_amber
from memvr_integrations.evaluate.running.statistics import total

RELATED = {
    "sky": [],
    "person": ["people", "man"],
    "grass": ["ground"],
    "dog": [],
    "cloud": [],
    "light": [],
    "car": [],
}
ANNOTATIONS = [
    {"id": 1, "type": "generative", "truth": ["sky", "person", "grass"], "hallu": ["dog", "cloud"]},
    {"id": 2, "type": "discriminative-hallucination", "truth": "no"},
    {"id": 3, "type": "discriminative-attribute-state", "truth": "yes"},
    {"id": 4, "type": "discriminative-attribute-number", "truth": "no"},
    {"id": 5, "type": "relation", "truth": "no"},
]


@pytest.fixture
def folder(tmp_path):
    data = tmp_path / "data"
    (data / "query").mkdir(parents=True)
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "AMBER_1.jpg").touch()
    queries = [{"id": n, "image": "AMBER_1.jpg", "query": f"Q{n}"} for n in range(1, 6)]
    (data / "query" / "query_all.json").write_text(json.dumps(queries))
    (data / "annotations.json").write_text(json.dumps(ANNOTATIONS, indent=0))
    (data / "relation.json").write_text(json.dumps(RELATED))
    (data / "safe_words.txt").write_text("light\n")
    return tmp_path


def test_a_description_by_hand(folder):
    amber = load_amber(folder)
    # men, ground and sky are there; the light is safe; the dog was to be expected; the car was not.
    answer = "Men on the ground, a dog, two cars and a sky full of light."
    marks = amber.marks({"1": answer})
    figures = amber.figures(total(marks))
    assert figures == pytest.approx(
        {
            "generative/CHAIR": 100 * 2 / 6,  # dog and car of six mentions
            "generative/Cover": 100,
            "generative/Hal": 100,
            "generative/Cog": 50,  # dog of dog and cloud
        }
    )


def test_nouns_of_several_words_do_not_reach_over_marks(folder):
    relations = RELATED | {"traffic light": ["stop-sign"], "TV": []}
    (folder / "data" / "relation.json").write_text(json.dumps(relations))
    nouns = load_amber(folder).words.nouns
    assert list(nouns("Traffic lights, a light, a tv.")) == ["traffic light", "light", "TV"]
    assert list(nouns("Stop-signs; stop. Signs. No traffic, light.")) == ["stop-sign", "light"]


def test_nouns_and_likeness_can_be_given(folder):
    amber = load_amber(
        folder,
        nouns=lambda text: ["dog", "car", "unknown"],
        similar=lambda one, other: (one, other) in {("car", "person"), ("car", "cloud")},
    )
    figures = amber.figures(total(amber.marks({"1": "?"})))
    # The car passes for a person; that it also passes for a cloud counts for Cog.
    assert figures["generative/CHAIR"] == 50
    assert figures["generative/Cover"] == pytest.approx(100 / 3)
    assert figures["generative/Cog"] == 100


def test_the_first_meaning_in_the_published_order_is_taken():
    words = Words(
        related={"grass": ["ground"], "ground": []},
        known=frozenset({"grass", "ground"}),
        safe=frozenset(),
        nouns=str.split,
        similar=lambda one, other: False,
    )
    counts = describe("ground", Description(truth=["grass", "ground"], invented=[]), words)
    assert counts["named"] == 1
    counts = describe("ground grass", Description(truth=["grass", "ground"], invented=[]), words)
    assert counts["named"] == 1  # both stand for the grass


def test_yes_no_by_hand(folder):
    amber = load_amber(folder)
    answers = {"2": "No", "3": "No, it is not.", "4": "Yes", "5": "no"}
    figures = amber.figures(total(amber.marks(answers)))
    # No is said three times and right twice; of three that are no, two are found.
    assert figures["discriminative/precision"] == pytest.approx(200 / 3)
    assert figures["discriminative/recall"] == pytest.approx(200 / 3)
    assert figures["discriminative/accuracy"] == 50
    assert figures["existence/F1"] == 100
    assert figures["attribute/accuracy"] == 0
    assert "state/recall" not in figures  # nothing there is no
    assert figures["relation/recall"] == 100
    assert amber.right(answers | {"1": "A sky."}) == {"2": True, "3": False, "4": False, "5": True}
    assert all(amber.right({one.id: amber.truth(one) for one in amber.questions}).values())


def test_the_file_for_the_published_script(folder):
    amber = load_amber(folder)
    entries = json.loads(amber.answers_file({"1": "A sky.", "2": "no.", "3": "Perhaps"}, model="m"))
    assert entries == [
        {"id": 1, "response": "A sky."},
        {"id": 2, "response": "No"},
        {"id": 3, "response": "Perhaps"},
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "other"}, r"annotations\.json, line 2: 'type' is 'other'"),
        ({"truth": ["sky", "unicorn"]}, r"line 2: relation\.json has no 'unicorn'"),
        ({"truth": "yes"}, "line 2: 'truth' is 'yes', not a list of texts"),
        ({"id": 99}, r"line 2: query_all\.json has no question with the id 99"),
        ({"id": 2}, "id '2' was there before"),
    ],
)
def test_malformed_annotations_are_named(folder, change, message):
    broken = [ANNOTATIONS[0] | change, ANNOTATIONS[1]]
    (folder / "data" / "annotations.json").write_text(json.dumps(broken, indent=0))
    with pytest.raises(BenchmarkError, match=message):
        load_amber(folder)


def test_what_is_missing_is_said(folder):
    (folder / "data" / "relation.json").unlink()
    with pytest.raises(BenchmarkError, match=r"relation\.json.*junyangwang0410/AMBER"):
        load_amber(folder)

"""Labels that a model gives itself: by agreement over changed copies, not by one answer."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pillow
from scripted_engine import ScriptedEngine, text_of

from memvr_integrations.backend.images import load_image
from memvr_integrations.errors import BenchmarkError, ConfigError, MemVRWarning
from memvr_integrations.evaluate.benchmarks.scene_questions import CAPTION
from memvr_integrations.evaluate.running import self_labelled
from memvr_integrations.evaluate.running.asking import Strategy
from memvr_integrations.evaluate.running.calibration import Calibrating, candidates
from memvr_integrations.evaluate.running.runs import Run
from memvr_integrations.evaluate.running.self_labelled import (
    VIEWS,
    Labelling,
    Things,
    images_in,
)
from memvr_integrations.evaluate.running.statistics import total
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types import Image

THINGS = Things.of("dog, cat, hot dog, wine glass, bee, cow")


@pytest.fixture
def folder(tmp_path):
    """Six pictures: the brighter the left upper corner, the more is in them."""
    (tmp_path / "photos").mkdir()
    for number in range(6):
        pixels = np.full((40, 40, 3), 40 * number, np.uint8)
        Pillow.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    return tmp_path / "photos"


class Seer:
    """A model that sees a dog everywhere and nothing else, but invents cats.

    It names a cat in every caption; asked about it, it denies it in mirrored copies and elsewhere,
    except in the plain question. About the cow it changes its mind from copy to copy.
    """

    def __init__(self):
        self.asked = []

    def __call__(self, request):
        text = text_of(request.messages[0])
        self.asked.append(text)
        [picture] = [part for part in request.messages[0].content if isinstance(part, Image)]
        copy = isinstance(picture.source, Pillow.Image)
        if text == CAPTION:
            return "A dog and a cat, and a dog's wine glasses."
        if "a dog" in text:
            return "Yes"
        if "a cat" in text:
            return "No" if copy else "Yes"
        if "a cow" in text or "wine" in text:
            return "Yes" if "see" in text else "No"
        return "No."


def labelled(folder, out, seer=None, **more):
    engine = ScriptedEngine(seer or Seer())
    images = images_in(folder, None)
    return Labelling(engine, images, THINGS, out, progress=False, **more).benchmark()


def test_agreement_decides_and_disagreement_asks_nothing(folder, tmp_path):
    found = labelled(folder, tmp_path / "labels")
    assert len(found.labels) == 6
    for labels in found.labels.values():
        assert labels["dog"] is True
        assert labels["cat"] is False
        assert "wine glass" not in labels
        assert "cow" not in labels
        assert 3 <= len(labels) <= 5
    ids = [one.id for one in found.questions]
    assert len(set(ids)) == len(ids) == sum(map(len, found.labels.values())) + 6
    assert {one.group for one in found.questions} == set(found.labels)


def test_the_plain_answers_are_measured_by_the_votes(folder, tmp_path):
    found, engine = labelled(folder, tmp_path / "labels"), ScriptedEngine(Seer())
    answers = {
        one.id: engine.generate([Strategy(name="plain").request(one, 0)])[0].text
        for one in found.questions
    }
    figures = found.figures(total(found.marks(answers)))
    assert figures["captions/CHAIR_I"] == pytest.approx(100 / 3)  # two dogs, and a cat
    assert figures["captions/CHAIR_S"] == 100
    right = found.right(answers)
    assert {one.rsplit("/", 1)[1] for one, ok in right.items() if not ok} == {"cat"}
    assert figures["yes-no/official/accuracy"] == pytest.approx(
        100 * sum(right.values()) / len(right)
    )


def test_it_goes_on_and_votes_are_asked_once(folder, tmp_path):
    seer = Seer()
    first = labelled(folder, tmp_path / "labels", seer)
    asked = len(seer.asked)
    path = tmp_path / "labels" / "answers.jsonl"
    lines = path.read_text().splitlines()
    assert len(lines) == asked == len({json.loads(line)["question"] for line in lines})
    assert labelled(folder, tmp_path / "labels", seer) == first
    assert len(seer.asked) == asked
    path.write_text("\n".join(lines[:40]) + "\n")
    assert labelled(folder, tmp_path / "labels", seer) == first
    assert len(seer.asked) == asked + asked - 40


def test_all_answers_are_gone_through_once(folder, tmp_path, monkeypatch):
    def counted(*given):
        reads.append(given)
        return texts(*given)

    reads, texts = [], Run.texts
    monkeypatch.setattr(Run, "texts", counted)
    labelled(folder, tmp_path / "labels")
    assert len(reads) == 2  # captions and votes, however many images there are


def test_another_versions_votes_are_not_gone_on_with(folder, tmp_path, monkeypatch):
    labelled(folder, tmp_path / "labels")
    monkeypatch.setattr(self_labelled, "__version__", "9.9")
    with pytest.raises(ConfigError, match=r"holds another evaluation \(version"):
        labelled(folder, tmp_path / "labels")


def test_names_of_several_words_do_not_reach_over_marks(folder, tmp_path):
    found = labelled(folder, tmp_path / "labels", Seer())
    question = found.questions[0]
    labels = {question.group: dict.fromkeys(THINGS.names, True)}
    read = replace(found, labels=labels).mentioned(question, "It is hot. Dogs; wine, glasses.")
    assert list(read) == ["dog"]


def test_an_image_that_can_not_be_read_is_reported(folder, tmp_path):
    (folder / "broken.png").write_bytes(b"no png")
    seer = Seer()

    def reading(request):
        for part in request.messages[0].content:
            if isinstance(part, Image):
                load_image(part.source)
        return seer(request)

    with pytest.warns(MemVRWarning, match=r"1 of 7 images.*'broken.png'"):
        found = labelled(folder, tmp_path / "labels", reading)
    assert "broken.png" not in {one.group for one in found.questions}


def test_what_can_not_be_labelled_is_refused(folder, tmp_path):
    def torn(request):
        return "Yes and no."

    with pytest.raises(BenchmarkError, match="agree on nothing"):
        labelled(folder, tmp_path / "labels", torn)
    with pytest.raises(BenchmarkError, match="no image"):
        images_in(tmp_path / "labels", None)
    with pytest.raises(BenchmarkError, match="no folder"):
        images_in(tmp_path / "nowhere", None)
    assert len(images_in(folder, 2)) == 2


@pytest.mark.parametrize(
    ("things", "text"),
    [("dog, cat", "2 are too few"), ("a, b, c3, d", "'c3' is no noun"), ("", "0 are too few")],
)
def test_things_that_can_not_be_asked_for(things, text):
    with pytest.raises(ConfigError, match=text):
        Things.of(things)


def test_coco_has_its_synonyms():
    assert len(Things.of("coco").names) == 80
    assert Things.of(" COCO ").phrases["puppies"] == "dog"


def test_views_differ_from_the_image():
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    image = Pillow.fromarray(pixels)
    shown = [np.asarray(view(image)) for view in VIEWS.values()]
    assert len(shown) == 3
    assert not any(np.array_equal(one, pixels) for one in shown)


def test_settings_are_found_without_labels(folder, tmp_path):
    """Where retracing makes the plain answer agree with the votes, it is chosen."""
    settings = list(candidates(12, MemVRConfig(starting_layer=1, ending_layer=6)))[:12]
    best, seer = settings[7], Seer()

    def speak(request):
        answer = seer(request)
        if request.memvr == best:
            return (
                answer.replace("a cat", "a dog")
                if "cat" in answer
                else "No"
                if ("a cat" in text_of(request.messages[0]))
                else answer
            )
        return answer

    engine = ScriptedEngine(speak)
    asked = Labelling(
        engine, images_in(folder, None), THINGS, tmp_path / "labels", progress=False
    ).benchmark()
    found = Calibrating(engine, asked, settings, tmp_path / "run", progress=False).find()
    assert found.config == best

"""Labels that a model gave itself, marked where the truth is known."""

from bundled_model.exam.label_check import check
from scripted_engine import ScriptedEngine, text_of

from memvr_integrations.evaluate.benchmarks.scene_questions import CAPTION


def test_labels_and_answers_are_marked_by_the_truth(tmp_path):
    """Who says yes to all has labels and answers that are right where something is there."""

    def speak(request):
        return "A cow." if text_of(request.messages[0]) == CAPTION else "Yes"

    found = check(ScriptedEngine(speak), tmp_path, count=6, progress=False)
    assert found.labels_right == found.answers_right
    assert 0 < found.labels_right.value < 60
    assert found.labels >= 6


def test_the_bundled_models_labels_are_mostly_right(backend, tmp_path):
    found = check(backend, tmp_path, count=1, progress=False)
    assert found.labels_right.value > 60
    assert found.answers_right.value > 60

import pytest

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.mme import COGNITION, PERCEPTION, load_mme, read_answer
from memvr_integrations.evaluate.running.statistics import total


@pytest.fixture
def folder(tmp_path):
    for category in (*PERCEPTION, *COGNITION):
        base = tmp_path / "MME_Benchmark_release_version" / "MME_Benchmark" / category
        split = category in ("scene", "artwork")
        texts, images = (base / "questions_answers_YN", base / "images") if split else (base, base)
        texts.mkdir(parents=True, exist_ok=True)
        images.mkdir(parents=True, exist_ok=True)
        for number, ending in (("1", ".jpg"), ("2", ".png")):
            (images / f"{number}{ending}").touch()
            (texts / f"{number}.txt").write_text(f"Is it {number}?\tYes\nIs it not?\tNo\n\n")
    return tmp_path


def test_both_layouts_are_read(folder):
    mme = load_mme(folder)
    assert len(mme.questions) == 14 * 4
    scene = next(question for question in mme.questions if question.id == "scene/2.png/2")
    assert scene.group == "scene/2.png"
    assert scene.images[0].parent.name == "images"
    assert mme.truths["scene/2.png/2"] is False


def test_by_hand(folder):
    mme = load_mme(folder)
    answers = {question.id: "Yes" for question in mme.questions}
    figures = mme.figures(total(mme.marks(answers)))
    # Who always says yes has half of the answers and no image.
    assert figures["existence/acc"] == 50
    assert figures["existence/acc+"] == 0
    assert (figures["perception"], figures["cognition"], figures["total"]) == (500, 200, 700)
    assert figures["yes ratio"] == 100
    # One image of two is right in OCR: acc 3 of 4, acc+ 1 of 2.
    answers["OCR/1.jpg/2"] = "no, it is not"
    figures = mme.figures(total(mme.marks(answers)))
    assert (figures["OCR/acc"], figures["OCR/acc+"], figures["OCR/score"]) == (75, 50, 125)
    assert figures["perception"] == 575
    assert mme.right(answers)["OCR/1.jpg/2"] is True
    assert all(mme.right({one.id: mme.truth(one) for one in mme.questions}).values())


def test_sums_wait_for_all_categories_and_pairs_for_both_answers(folder):
    mme = load_mme(folder)
    figures = mme.figures(total(mme.marks({"color/1.jpg/1": "Yes"})))
    assert figures == {"color/acc": 100, "yes ratio": 100}


@pytest.mark.parametrize(
    ("answer", "read"),
    [("Yes.", True), (" no", False), ("Well, yes", None), ("nope yes", False), ("not", False)],
)
def test_the_first_four_letters_decide(answer, read):
    assert read_answer(answer) is read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Is it?\tYes\n", r"1\.txt: there are 1 questions"),
        ("Is it?\tYes\nIs it not? No\n", r"1\.txt, line 2"),
        ("Is it?\tYes\nIs it not?\tPerhaps\n", r"1\.txt, line 2"),
    ],
)
def test_a_malformed_text_is_named(folder, text, message):
    base = folder / "MME_Benchmark_release_version" / "MME_Benchmark"
    (base / "count" / "1.txt").write_text(text)
    with pytest.raises(BenchmarkError, match=message):
        load_mme(folder)


def test_what_is_missing_is_said(folder, tmp_path):
    base = folder / "MME_Benchmark_release_version" / "MME_Benchmark"
    (base / "count" / "1.jpg").unlink()
    with pytest.raises(BenchmarkError, match="1 of 28 images are missing"):
        load_mme(folder)
    text = base / "count" / "1.txt"
    text.rename(text.with_stem("a" * 251))
    with pytest.raises(BenchmarkError, match=r"1 of 28 images are missing.*a{251}\.jpg"):
        load_mme(folder)
    (base / "count").rename(tmp_path / "elsewhere")
    with pytest.raises(BenchmarkError, match=r"no 'count'.*tree/Evaluation"):
        load_mme(folder)

"""Questions with all answers, and who flips what."""

from collections import Counter

import pytest
from report_lines import asked, said

from memvr_integrations.evaluate.benchmarks.benchmark import Question
from memvr_integrations.evaluate.running.report.asked import asked_questions
from memvr_integrations.evaluate.running.runs import Answer, Run

RIGHT, WRONG, OPEN = said(), said(right=False), said(right=None)


@pytest.mark.parametrize(
    ("before", "after", "flipped"),
    [
        (WRONG, RIGHT, True),
        (RIGHT, WRONG, False),
        (RIGHT, RIGHT, None),
        (OPEN, RIGHT, None),
        (RIGHT, OPEN, None),
        ((WRONG, WRONG, RIGHT), (RIGHT, RIGHT, WRONG), True),
        ((WRONG, RIGHT), RIGHT, True),  # even is not more than half
    ],
)
def test_an_answer_flips_where_most_seeds_change(before, after, flipped):
    one = asked("1", before, after)
    assert one.flipped(one.replies[1]) is flipped
    assert one.flipped(one.replies[0]) is None


def test_how_unsure_several_answers_are():
    one = asked("1", (said(unsureness=0.2), said(unsureness=0.6), said(unsureness=None)))
    assert one.replies[0].unsureness == 0.6
    assert asked("1", said(unsureness=None)).replies[0].unsureness is None
    assert asked("1", (RIGHT, said(error="gone", right=None))).replies[0].failed


class Numbers:
    name = "numbers"
    questions = (Question(id="1", text="One?", images=(), group="1"),)

    def marks(self, answers):
        return {one: Counter() for one in answers}

    def figures(self, counts):
        return {}

    def right(self, answers):
        return {one: text == "1" for one, text in answers.items()}


def test_answers_are_found_by_strategy_and_seed(tmp_path):
    run = Run(tmp_path, {}, ways={})
    run.add(
        Answer(strategy=way, seed=seed, question="1", text=text, error=error)
        for way, seed, text, error in (
            ("plain", 0, "1", None),
            ("plain", 1, "2", None),
            ("memvr", 0, "", "too dark"),
        )
    )
    [one] = asked_questions(Numbers(), run, Numbers.questions, ["plain", "memvr"], [0, 1])
    assert (one.truth, one.kind) == ("", "")
    plain, memvr = one.replies
    assert [(said.answer.text, said.right) for said in plain.said] == [("1", True), ("2", False)]
    assert [(said.answer.error, said.right) for said in memvr.said] == [("too dark", None)]

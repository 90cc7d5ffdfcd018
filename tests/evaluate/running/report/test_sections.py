"""A question as a part of a page."""

from report_lines import HOSTILE, Read, asked, said

from memvr_integrations.evaluate.running.report.sections import section

ANSWERS = (
    said("No", False, unsureness=0.125),
    said("Yes", True, unsureness=None),
    said("", None, error="too dark", unsureness=None),
)


def test_what_filters_go_by():
    [data] = Read(section(asked("1", *ANSWERS))).of("section")
    assert data["data-wrong"] == "0"
    assert data["data-failed"] == "2"
    assert data["data-flipped"] == "1"
    assert data["data-unsure"] == "0.125 - -"


def test_what_a_reader_sees():
    text = Read(section(asked("a/1", *ANSWERS, kind="yes/no, derived from the row"))).text
    assert "Truth: yes · yes/no, derived from the row · a/1" in text
    assert "plain✗ wrong No unsureness 0.12" in text
    assert "memvr✓ right Yes ⇄ flipped to right" in text
    assert "another <b>! failed too dark" in text


def test_answers_of_several_seeds_are_shown_one_by_one():
    both = (said("Yes", True, seed=3), said("No", False, seed=4))
    text = Read(section(asked("1", both, truth=""))).text
    assert "seed 3: ✓ right Yes" in text
    assert "seed 4: ✗ wrong No" in text
    assert "Truth" not in text


def test_a_long_answer_is_cut_and_says_so():
    text = Read(section(asked("1", said("ab" * 1500, None)))).text
    assert "and 1000 characters more" in text
    assert "not judged" in text


def test_nothing_strange_acts():
    strange = said(HOSTILE, right=None, error=None)
    made = section(asked(HOSTILE, strange, text=HOSTILE, truth=HOSTILE, kind=HOSTILE))
    assert {tag for tag, _ in Read(made).elements} <= {
        "section", "h3", "p", "b", "bdi", "span", "dl", "dt", "dd",
    }  # fmt: skip
    assert made.count("&lt;script&gt;") == 5

"""The controls of a page of questions."""

from report_lines import Read, asked, said

from memvr_integrations.evaluate.running.report.filters import filters, flips

RIGHT, WRONG = said(), said(right=False)


def controls(*questions, pages=1):
    read = Read(filters(questions, unsure=0.11, pages=pages))
    named = [*read.of("input"), *read.of("select")]
    return read, {one["name"]: one for one in named}


def test_every_filter_has_its_control():
    read, named = controls(asked("1", RIGHT, WRONG, said(error="gone")), pages=2)
    assert list(named) == ["words", "wrong", "failed", "unsure", "limit", "whose", "flipped"]
    assert named["limit"]["value"] == "0.11"
    assert [one["value"] for one in read.of("option")] == ["", "0", "1", "2", "", "1", "2"]
    assert "another <b>" in read.text
    assert "The links to other pages keep what is chosen" in read.text
    assert [one["aria-live"] for one in read.of("span") if "role" in one] == ["polite"]


def test_what_nothing_could_be_found_by_is_left_out():
    read, named = controls(asked("1", said(unsureness=None)))
    assert list(named) == ["words", "wrong", "whose"]
    assert "other pages" not in read.text


def test_flips_are_counted_and_lead_to_them():
    made = flips(
        [asked("1", RIGHT, WRONG), asked("2", WRONG, RIGHT), asked("3", WRONG, RIGHT)], "q.html"
    )
    read = Read(made)
    assert "memvr21show" in read.text
    assert read.of("a") == [{"href": "q.html#flipped=1"}]
    assert not Read(flips([asked("1", RIGHT, RIGHT)], "q.html")).of("a")
    assert flips([asked("1", RIGHT)], "q.html") == ""

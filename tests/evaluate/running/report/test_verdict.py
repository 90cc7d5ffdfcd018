"""The verdict in words."""

from report_lines import PLAIN, line

from memvr_integrations.evaluate.running.report.line import Line
from memvr_integrations.evaluate.running.report.verdict import verdict

BETTER, NOTHING, WORSE = (4.0, 1.0, 7.0), (0.5, -1.0, 2.0), (-4.0, -7.0, -1.0)


def words(*others, first=None):
    lines = [first or line("plain", **dict.fromkeys(NAMES, NOTHING)), *others]
    return [str(one) for one in verdict(lines)]


NAMES = ("popular__official__accuracy", "captions__CHAIR_I")


def test_better_worse_and_no_difference_shown():
    accuracy, chair = NAMES
    [better] = words(line(**{accuracy: BETTER, chair: WORSE}))
    assert better == (
        "memvr against plain: better in popular/accuracy, where higher is better "
        "(+4.00 [+1.00, +7.00]); better in captions/CHAIR_I, where lower is better "
        "(-4.00 [-7.00, -1.00])."
    )
    [worse] = words(line(**{accuracy: WORSE, chair: BETTER}))
    assert worse.count("worse in") == 2
    [neither] = words(line(**{accuracy: NOTHING, chair: NOTHING}))
    assert neither == (
        "memvr against plain: no difference shown beyond chance in popular/accuracy "
        "(+0.50 [-1.00, +2.00]), captions/CHAIR_I (+0.50 [-1.00, +2.00])."
    )


def test_a_control_that_gains_as_much_is_named():
    accuracy, chair = NAMES
    memvr = line(**{accuracy: BETTER, chair: WORSE})
    damping = line("damping", **{accuracy: BETTER, chair: NOTHING})
    shuffled = line("shuffled", **{accuracy: NOTHING, chair: (-5.0, -9.0, 1.0)})
    other = line("vcd", **{accuracy: (9.0, 8.0, 10.0)})
    *_, one, two = words(memvr, damping, shuffled, other)
    assert one == (
        "the control damping: gains as much as memvr in popular/accuracy (+4.00 [+1.00, +7.00]); "
        "so it is not what is seen that helps there."
    )
    assert two.startswith("the control shuffled: gains as much as memvr in captions/CHAIR_I (-5.00")
    assert len(words(line(**{accuracy: NOTHING}), damping)) == 2


def test_what_can_not_be_compared_is_said():
    assert words(Line(strategy="memvr", figures={}, failed=3)) == [
        "memvr against plain: no question was answered; 3 questions failed, and count for no "
        "strategy."
    ]
    [open_end] = words(line(length=BETTER), first=line("plain", length=BETTER))
    assert open_end == "memvr against plain: no figure says what is better."
    assert words(first=PLAIN) == ["plain: accuracy 80.0 [75.0, 85.0]."]

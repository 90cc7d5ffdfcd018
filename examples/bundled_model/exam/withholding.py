"""How well an answer's unsureness says when to withhold it, and above which threshold."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bundled_model.exam.examinee import about
from bundled_model.exam.scene_marks import attributes, auc, is_right
from bundled_model.exam.trials import Condition, Evidence
from memvr_integrations.bundled.world import with_article
from memvr_integrations.evaluate import by_image, share

_TOKENS = 24


class Answers:
    """Greedy answers to yes/no, counting and colour questions, each with its `unsureness`."""

    def __init__(self, evidence: Evidence, condition: Condition) -> None:
        asked = [
            about(question.scene, f"Is there {with_article(question.name)} in the image?")
            for question in condition.questions
        ]
        others = attributes(condition.scenes)
        asked += [about(other.scene, other.question) for other in others]
        done = evidence.examinee.ask(condition.pictures, asked, tokens=_TOKENS)
        said = [one.text.strip() for one in done]
        right = [
            answer.lower().startswith("yes" if question.truth else "no")
            for question, answer in zip(condition.questions, said, strict=False)
        ]
        right += [
            is_right(other, answer)
            for other, answer in zip(others, said[len(condition.questions) :], strict=True)
        ]
        self.unsureness = torch.tensor([one.unsureness for one in done], dtype=torch.float32)
        self.name, self.right = condition.name, torch.tensor(right)
        self.owners, self.images = [one.pictures[0] for one in asked], len(condition.scenes)


def best_threshold(answers: Sequence[Answers]) -> float:
    """Where withholding catches the most wrong answers beyond the share of right ones it costs.

    (Youden's index: the share of wrong answers above the threshold, less that of right ones.)
    """
    unsureness = torch.cat([one.unsureness for one in answers])
    wrong = ~torch.cat([one.right for one in answers])
    candidates = torch.arange(0.01, 1.0, 0.01)
    above = unsureness[None] > candidates[:, None]
    gain = above[:, wrong].double().mean(1) - above[:, ~wrong].double().mean(1)
    return round(float(candidates[gain.argmax()]), 2)


def withheld(answers: Sequence[Answers], threshold: float) -> Iterator[str]:
    """What a threshold does under each condition: lines of a table."""
    yield (
        "| scenes | right, all answers | withheld | right, of the answers given | "
        "wrong answers withheld | right answers withheld | AUC |"
    )
    yield "|---|---|---|---|---|---|---|"
    for one in answers:
        given, wrong = one.unsureness <= threshold, ~one.right

        def part(hits: Tensor, total: Tensor, one: Answers = one) -> str:
            sums = (by_image(values, one.owners, one.images) for values in (hits & total, total))
            return str(share(*sums))

        everything = torch.ones_like(given)
        cells = [
            part(one.right, everything),
            part(~given, everything),
            part(one.right, given),
            part(~given, wrong),
            part(~given, one.right),
            f"{100 * auc(one.unsureness, wrong):.1f}",
        ]
        yield f"| {one.name} | " + " | ".join(cells) + " |"

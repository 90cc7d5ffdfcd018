"""POPE: is there such a thing in the image? (arXiv 2305.10355; github.com/AoiDragon/POPE).

Every image is asked about what is there and about what is not, the absent things chosen at random,
among the most frequent, or among those that come most often with what is there.
"""

from pathlib import Path

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.benchmark import Question
from memvr_integrations.evaluate.benchmarks.presence import SPLITS, Presence
from memvr_integrations.evaluate.benchmarks.published_files import Folder, json_lines, unique

_ADVICE = (
    "POPE needs coco_pope_random.json, coco_pope_popular.json and coco_pope_adversarial.json "
    "(output/coco in https://github.com/AoiDragon/POPE) and the images of COCO's val2014 "
    "(http://images.cocodataset.org/zips/val2014.zip) in its folder val2014."
)


def load_pope(folder: Path, *, dataset: str = "coco") -> Presence:
    """Read `{dataset}_pope_{split}.json` of a folder, or of its output/{dataset}, and the images.

    Raises:
        BenchmarkError: Something is missing or malformed.
    """
    files = Folder(folder, "POPE", _ADVICE)
    questions: list[Question] = []
    splits: dict[str, tuple[str, ...]] = {}
    truths: dict[str, bool] = {}
    paths = {
        split: files.find(
            f"{dataset}_pope_{split}.json", f"output/{dataset}/{dataset}_pope_{split}.json"
        )
        for split in SPLITS
    }
    pictures = files.find("val2014", "images")
    for split, path in paths.items():
        before = len(questions)
        for number, record in unique(json_lines(path), "question_id"):
            name, image = f"{split}/{number}", record.text("image")
            splits[name] = (split,)
            truths[name] = record.choice("label", ("yes", "no")) == "yes"
            questions.append(
                Question(id=name, text=record.text("text"), images=(pictures / image,), group=image)
            )
        if len(questions) == before:
            raise BenchmarkError(f"{path}: there is no question in it. {_ADVICE}")
    return Presence(
        name="pope", questions=files.checked(questions), splits=splits, truths=truths, there={}
    )

"""CHAIR: how much of what a caption names is not in the image (arXiv 1809.02156).

What is there is what COCO's instance annotations mark and what its five reference captions name;
which word means which of COCO's 80 categories, `coco_words` says. Figures depend on the images
taken, on the prompt and above all on how long captions may get, so only those of one harness
compare.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.benchmark import Question
from memvr_integrations.evaluate.benchmarks.presence import Presence, caption_figures
from memvr_integrations.evaluate.benchmarks.published_files import Folder, json_object
from memvr_integrations.evaluate.benchmarks.scoring.coco_words import GROUPS, mentions

_ADVICE = (
    "CHAIR needs annotations/instances_val2014.json and annotations/captions_val2014.json "
    "(http://images.cocodataset.org/annotations/annotations_trainval2014.zip) and the images, or "
    "some of them, in val2014 (http://images.cocodataset.org/zips/val2014.zip)."
)
_PROMPT = "Please describe this image in detail."


@dataclass(frozen=True, kw_only=True)
class Chair(Presence):
    """CHAIR_S (captions with a wrong mention), CHAIR_I (mentions that are wrong), recall, length.

    Recall is the share of all categories that images show that the captions name.
    """

    def figures(self, counts: Mapping[str, int]) -> dict[str, float]:
        """The four figures; the length is in words."""
        return caption_figures(counts)


def load_chair(
    folder: Path, *, count: int = 500, seed: int = 0, prompt: str = _PROMPT, max_tokens: int = 512
) -> Chair:
    """Read COCO's annotations and ask about `count` of the images that lie in `val2014`.

    Raises:
        BenchmarkError: Something is missing or malformed.
    """
    files = Folder(folder, "CHAIR", _ADVICE)
    annotations = [
        files.find(f"annotations/{kind}_val2014.json", f"{kind}_val2014.json")
        for kind in ("instances", "captions")
    ]
    pictures = files.find("val2014", "images")
    chosen, marked = _instances(annotations[0], pictures, count, seed)
    for number, caption in _captions(annotations[1]):
        if number in marked:
            marked[number].update(mentions(caption))
    questions = [
        Question(
            id=str(number), text=prompt, images=(image,), group=image.name, max_tokens=max_tokens
        )
        for number, image in chosen.items()
    ]
    there = {str(number): frozenset(names) for number, names in marked.items()}
    return Chair(
        name="chair", questions=files.checked(questions), truths={}, splits={}, there=there
    )


def _instances(
    path: Path, pictures: Path, count: int, seed: int
) -> tuple[dict[int, Path], dict[int, set[str]]]:
    """Images to ask about by COCO's id, and the categories that are marked in each."""
    file = json_object(path)
    names: dict[int, str] = {}
    for record in file.records("categories"):
        name = record.text("name")
        if name not in GROUPS:
            raise record.wrong(f"{name!r} is none of COCO's 80 categories")
        names[record.number("id")] = name
    lying = {one.name for one in pictures.iterdir()}
    images = {
        record.number("id"): pictures / record.text("file_name")
        for record in file.records("images")
        if record.text("file_name") in lying
    }
    if not images:
        raise BenchmarkError(f"CHAIR: none of the annotated images is in {str(pictures)!r}.")
    ids = sorted(images)
    sampled = random.Random(seed).sample(ids, min(count, len(ids)))
    marked: dict[int, set[str]] = {number: set() for number in sampled}
    for record in file.records("annotations"):
        number = record.number("image_id")
        if number in marked:
            category = record.number("category_id")
            if category not in names:
                raise record.wrong(f"there is no category {category}")
            marked[number].add(names[category])
    return {number: images[number] for number in sampled}, marked


def _captions(path: Path) -> list[tuple[int, str]]:
    return [
        (record.number("image_id"), record.text("caption"))
        for record in json_object(path).records("annotations")
    ]

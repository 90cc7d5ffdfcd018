"""LlamaIndex: how often is the right picture found, cited, and read rightly?

Draws scenes, makes a collection of them, and asks questions whose answers are known. Each search
names three things that stand together in one scene alone. A small run by default; the figures in
the docs come from --scenes 500 --questions 100.
"""

import argparse
import itertools
import random
from dataclasses import dataclass

import PIL.Image
import torch
from bundled_model.exam.scene_marks import Attribute, attributes, is_right
from llama_index.core.schema import QueryBundle
from tqdm import tqdm

from memvr_integrations.bundled import KNOWN_THEMES
from memvr_integrations.bundled.world import SPRITES, Scene
from memvr_integrations.evaluate import share
from memvr_integrations.evaluate.benchmarks.scene_questions import held_out_scenes
from memvr_integrations.llama_index import ImageCollectionIndex, MemVRMultiModalLLM, citations


@dataclass(frozen=True)
class Case:
    """A question, what its scene is found by, and what the right answer is."""

    asked: Attribute
    search: str

    @property
    def query(self) -> QueryBundle:
        """The question, with the words to search by."""
        return QueryBundle(self.asked.question, custom_embedding_strs=[self.search])


def cases(scenes: list[Scene], count: int) -> list[Case]:
    """Questions about scenes that three of their things part from all others."""
    rng, found = random.Random(0), []
    shuffled = rng.sample(asked := attributes(scenes), len(asked))
    for one in shuffled:
        names = sorted(scenes[one.scene].names)
        for trio in itertools.combinations(rng.sample(names, len(names)), 3):
            if sum(set(trio) <= scene.names for scene in scenes) == 1:
                found.append(Case(one, "A {} with a {} and a {}".format(*trio)))
                break
        if len(found) == count:
            break
    return found


parser = argparse.ArgumentParser()
parser.add_argument("--scenes", type=int, default=2)
parser.add_argument("--questions", type=int, default=1)
parser.add_argument("--descriptions", type=int, default=4, help="beside each caption")
parser.add_argument("--folder", help="where the collection is kept; else it is forgotten")
given, _ = parser.parse_known_args()

art = [SPRITES]
scenes = held_out_scenes(given.scenes, themes=KNOWN_THEMES, seed=21, files=art)
index = ImageCollectionIndex(
    given.folder, llm=MemVRMultiModalLLM(model="bundled"), descriptions=given.descriptions
)
ids = index.add(PIL.Image.fromarray(scene.pixels) for scene in scenes)
questions = cases(scenes, given.questions)
print(f"{len(index)} scenes, {len(questions)} questions; percent with 95 % intervals\n")

WAYS = {
    "vectors of captions": {"word_weight": 0},
    "words": {"vector_weight": 0},
    "words and vectors": {},
}
print("| found by | first | among 4 | among 8 |\n|---|---|---|---|")
for way, weights in WAYS.items():
    row = []
    for k in (1, 4, 8):
        retriever = index.as_retriever(similarity_top_k=k, **weights)
        hits = [
            ids[case.asked.scene] in [one.node.node_id for one in retriever.retrieve(case.query)]
            for case in questions
        ]
        row.append(str(share(torch.tensor(hits))))
    print(f"| {way} | {' | '.join(row)} |", flush=True)

print("\n| answers | right scene cited | right answer |\n|---|---|---|")
plain = MemVRMultiModalLLM(model="bundled", memvr=None)
for llm, looks in ((index.llm, "MemVR"), (plain, "plain decoding")):
    for options, sorting in (
        ({"similarity_top_k": 1, "rerank_top_n": None}, "first found"),
        ({"similarity_top_k": 8}, "first of 8 by VisualRerank"),
    ):
        engine, cited, right = index.as_query_engine(llm=llm, **options), [], []
        for case in tqdm(questions, desc=f"{looks}, {sorting}"):
            response = engine.query(case.query)
            cited.append([one.node_id for one in citations(response)] == [ids[case.asked.scene]])
            right.append(is_right(case.asked, response.metadata["answers"][0]))
        row = f"{share(torch.tensor(cited))} | {share(torch.tensor(right))}"
        print(f"| {looks}, {sorting} | {row} |")
    right = [
        is_right(case.asked, llm.complete(case.asked.question, [index[ids[case.asked.scene]]]).text)
        for case in questions
    ]
    print(f"| {looks}, shown the right scene | | {share(torch.tensor(right))} |")

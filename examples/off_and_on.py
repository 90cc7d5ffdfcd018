"""Ask with MemVR off, with the model's preset, and with settings of your own; and count.

On one question anything can be shown, so this asks sixteen, whose answers are known. On the model
in the box MemVR acts, and changes how sure the model is, but hardly ever what it says: `memvr eval
scenes` says how often on many more, and `memvr eval` on a benchmark and a model of yours.
"""

from pathlib import Path

from memvr_integrations.backend import Backend, Request
from memvr_integrations.memvr import MemVRConfig

IMAGES = Path(__file__).parent / "images"
QUESTION = "Is there a {} in the picture?"
THERE = {
    "farm.png": {"tree": True, "dog": True, "cow": False, "sheep": False},
    "farm-no-dog.png": {"house": True, "cow": True, "dog": False, "cat": False},
    "kitchen.png": {"fork": True, "spoon": True, "knife": False, "tomato": False},
    "fork-no-knife.png": {"tomato": True, "fork": True, "knife": False, "cup": False},
}
EAGER = MemVRConfig(starting_layer=1, ending_layer=11, entropy_threshold=0.2, retracing_ratio=0.3)

asked = [(name, thing, truth) for name, things in THERE.items() for thing, truth in things.items()]
with Backend.load("bundled", progress=False) as backend:
    answers = {
        way: backend.generate(
            [
                Request.ask(QUESTION.format(thing), IMAGES / name, memvr=config)
                for name, thing, _ in asked
            ]
        )
        for way, config in {"off": None, "preset": True, "eager": EAGER}.items()
    }

for way, done in answers.items():
    right = [
        one.text.startswith("Yes") == truth for one, (*_, truth) in zip(done, asked, strict=True)
    ]
    changed = sum(one.text != other.text for one, other in zip(done, answers["off"], strict=True))
    retraced = sum(one.retraced for one in done)
    tokens = sum(len(one.tokens) for one in done)
    surer = sum(
        one.tokens[0].logprob - other.tokens[0].logprob
        for one, other in zip(done, answers["off"], strict=True)
    ) / len(asked)
    print(
        f"{way}: {sum(right)} of {len(asked)} right, {changed} answers other than off; "
        f"{retraced} of {tokens} tokens retraced; the first word {surer:+.3f} in log-probability"
    )

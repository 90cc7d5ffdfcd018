"""Questions about two pictures at once."""

import random
from collections.abc import Sequence

from bundled_model.conversations import truths
from bundled_model.conversations.asker import Talk
from bundled_model.conversations.questions import Turn, absent, phrase
from bundled_model.conversations.wordings.paraphrase import typed
from bundled_model.conversations.wordings.phrasings import phrase_question
from memvr_integrations.bundled.world import Scene, plural, surely_absent, with_article

_ORDINALS = (("first", "one"), ("second", "two"))


def compare(first: Scene, second: Scene, rng: random.Random, themes: Sequence[str]) -> Talk:
    """One question about two pictures and the true answer."""
    kind = rng.choices(
        ("which picture", "in both", "exists in", "caption of", "count in", "more in"),
        (0.26, 0.3, 0.14, 0.12, 0.1, 0.08),
    )[0]
    both = (first, second)
    if kind == "in both":
        return in_both(first, second, rng)
    if kind == "which picture":
        question, answer = _which(both, rng, themes)
    elif kind == "more in":
        question, answer = _more(both, rng)
    else:
        question, answer = _in_one(kind, both, rng, themes)
    return Talk(turns=(Turn(typed(question, rng), answer),), pictures=2)


def in_both(first: Scene, second: Scene, rng: random.Random) -> Talk:
    """What two pictures share, said after what each of the first one's things is in the second.

    To find it in one step, before the first word or after two lists, is more than a small model
    learns; and it sees whether a thing is there once the thing is named, not before.
    """
    things = truths.left_to_right(first)
    listed = truths.join([phrase(thing, color=False) for thing in things])
    looked_for = "; ".join(
        f"{with_article(thing.name)}: {'yes' if thing.name in second.names else 'no'}"
        for thing in things
    )
    shared = [with_article(thing.name) for thing in things if thing.name in second.names]
    found = f"Both have {truths.join(shared)}." if shared else "They share nothing."
    answer = f"The first has {listed}. In the second, {looked_for}. {found}"
    question = typed(phrase_question("in both", rng), rng)
    return Talk(turns=(Turn(question, answer),), pictures=2)


def differs(first: Scene, second: Scene, rng: random.Random) -> Talk:
    """What one of two pictures has and the other has not, said as `in_both` says it."""
    at = rng.randrange(2)
    one, other = ((first, second), (second, first))[at]
    nth, others = _ORDINALS[at][0], _ORDINALS[1 - at][0]
    things = [
        thing for thing in truths.left_to_right(one) if _is_clear(thing.name, (first, second))
    ]
    listed = truths.join([phrase(thing, color=False) for thing in truths.left_to_right(one)])
    looked_for = "; ".join(
        f"{with_article(thing.name)}: {'yes' if thing.name in other.names else 'no'}"
        for thing in things
    )
    only = [with_article(thing.name) for thing in things if thing.name not in other.names]
    found = f"Only the {nth} has {truths.join(only)}." if only else f"The {nth} has nothing more."
    looked = f" In the {others}, {looked_for}." if things else ""
    question = typed(phrase_question("only in", rng, nth=nth, other=others), rng)
    answer = f"The {nth} has {listed}.{looked} {found}"
    return Talk(turns=(Turn(question, answer),), pictures=2)


def _count(scene: Scene, name: str) -> int:
    return sum(thing.count for thing in scene.things if thing.name == name)


def _is_clear(name: str, both: Sequence[Scene]) -> bool:
    """Whether each picture has it or surely has not."""
    return all(name in scene.names or surely_absent([name], scene.names) for scene in both)


def _some_name(both: Sequence[Scene], rng: random.Random, themes: Sequence[str]) -> str:
    """A class of one, of both, or of neither."""
    shared = sorted(both[0].names & both[1].names)
    if shared and rng.random() < 0.35:
        return rng.choice(shared)
    while True:
        scene = rng.choice(both)
        name = rng.choice(sorted(scene.names))
        if rng.random() < 0.3:
            name = absent(scene, rng, themes)
        if _is_clear(name, both):
            return name


def _which(both: Sequence[Scene], rng: random.Random, themes: Sequence[str]) -> tuple[str, str]:
    name = _some_name(both, rng, themes)
    a = with_article(name)
    there = [name in scene.names for scene in both]
    if rng.random() < 0.3:
        only = "neither picture has" if not any(there) else "only one picture has"
        truth = f"Yes, both pictures have {a}." if all(there) else f"No, {only} {a}."
        return phrase_question("do both", rng, a=a), truth
    answer = f"Neither picture has {a}."
    if all(there):
        answer = f"Both pictures have {a}."
    elif any(there):
        answer = f"The {_ORDINALS[there.index(True)][0]} picture has {a}."
    return phrase_question("which picture", rng, a=a), answer


def _more(both: Sequence[Scene], rng: random.Random) -> tuple[str, str]:
    shared, either = both[0].names & both[1].names, both[0].names | both[1].names
    pool = sorted(shared if shared and rng.random() < 0.6 else either)
    name = rng.choice([name for name in pool if _is_clear(name, both)] or pool)
    counts = [_count(scene, name) for scene in both]
    answer = f"Both have the same number of {plural(name)}."
    if counts[0] != counts[1]:
        nth = _ORDINALS[counts.index(max(counts))][0]
        answer = f"The {nth} picture has more {plural(name)}."
    return phrase_question("more in", rng, p=plural(name)), answer


def _in_one(
    kind: str, both: Sequence[Scene], rng: random.Random, themes: Sequence[str]
) -> tuple[str, str]:
    at = rng.randrange(2)
    nth, number = _ORDINALS[at]
    scene = both[at]
    slots = {"nth": nth, "number": number}
    if kind == "caption of":
        return phrase_question(kind, rng, **slots), truths.caption(scene)
    # What is only in the other picture is the question that parts them.
    pool = scene.names
    if rng.random() < 0.5:
        other = both[1 - at].names
        pool = pool & other | set(surely_absent(other, pool)) or pool
    name = rng.choice(sorted(pool))
    question = phrase_question(kind, rng, a=with_article(name), p=plural(name), **slots)
    if kind == "count in":
        return question, truths.amount(name, _count(scene, name))
    return question, truths.existence(name, name in scene.names)

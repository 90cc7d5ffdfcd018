"""Other names that people have for the classes; answers always use the classes' own names."""

import random
import re

from memvr_integrations.bundled.world import CLASSES, plural, single, with_article

_LINES = """
airplane: plane jet aeroplane aircraft
bicycle: bike
bird: birdie
boat: ship
book: textbook
bread: loaf
bus: coach
car: automobile auto
cat: kitty kitten
chicken: hen
cookie: biscuit
cow: bull calf
cup: mug
dog: puppy doggo pooch hound
duck: duckling
flower: blossom
gift: present parcel
hat: cap
horse: pony mare
house: home cottage
laptop: notebook
monkey: ape chimp
motorcycle: motorbike
mouse: rodent
mushroom: toadstool
phone: telephone cellphone mobile
pig: piglet hog
plate: dish
rabbit: bunny hare
rocket: spaceship
sheep: lamb
shoe: sneaker
snake: serpent
sun: sunshine
television: tv telly
train: locomotive
truck: lorry
turtle: tortoise
umbrella: parasol
"""
SYNONYMS: dict[str, tuple[str, ...]] = {
    name: tuple(others.split())
    for name, others in (line.split(": ") for line in _LINES.strip().splitlines())
}
"""Class name to other names, each of one class alone."""

_IRREGULAR = {"loaf": "loaves", "calf": "calves", "aircraft": "aircraft"}
_FORMS = {name: (name, False) for name in CLASSES} | {
    plural(name): (name, True) for name in CLASSES if plural(name) != name
}
_FORMS[single("bread")] = ("bread", False)
_NAMED = re.compile(rf"\b(?:(an?) )?({'|'.join(sorted(_FORMS, key=len, reverse=True))})\b", re.I)


def renamed(question: str, rng: random.Random) -> str:
    """The question with one thing in it called by another of its names, if it has one."""
    found = [one for one in _NAMED.finditer(question) if _FORMS[one[2].lower()][0] in SYNONYMS]
    if not found:
        return question
    chosen = rng.choice(found)
    name, several = _FORMS[chosen[2].lower()]
    other = rng.choice(SYNONYMS[name])
    if several:
        other = _IRREGULAR.get(other) or plural(_singular_ending(other))
    elif chosen[1]:
        other = with_article(other)
    if chosen[0][0].isupper():
        other = other[0].upper() + other[1:]
    return question[: chosen.start()] + other + question[chosen.end() :]


def _singular_ending(name: str) -> str:
    """A noun in -y as plurals see it: "bunny" -> "bunnie", but "monkey" stays."""
    return name[:-1] + "ie" if re.search(r"[^aeiou]y$", name) else name

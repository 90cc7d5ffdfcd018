"""Questions about places: fields, boxes, one thing beside another."""

from bundled_model.conversations import truths
from bundled_model.conversations.asker import Asker, Talk, boxes, one_turn, the, the_one
from bundled_model.conversations.questions import where
from memvr_integrations.bundled.world import NUMBERS, plural, with_article

_SAID = {
    "left of": ("left of", "left of", "to the left of", "on the left of"),
    "right of": ("right of", "right of", "to the right of", "on the right of"),
    "above": ("above", "above", "over", "higher than", "further up than"),
    "below": ("below", "below", "under", "beneath", "lower than", "further down than"),
}
# Other names of the nine fields.
_CALLED = {
    f"at the {field}": (f"in the {field} corner", f"in the {upper}", f"on the {field}", field)
    for field, upper in (
        ("top left", "upper left"),
        ("top right", "upper right"),
        ("bottom left", "lower left"),
        ("bottom right", "lower right"),
    )
} | {
    "in the center": ("in the middle", "in the centre", "in the middle", "in the very center"),
    "at the top": ("at the very top", "up at the top"),
    "at the bottom": ("at the very bottom", "down at the bottom"),
    "on the left": ("on the left side", "to the left"),
    "on the right": ("on the right side", "to the right"),
}
FIELD_NAMES = [*truths.FIELDS, *(name for names in _CALLED.values() for name in names)]
WAY_NAMES = [name for names in _SAID.values() for name in names]
# Name, axis, and whether it is the half of the small coordinates.
_HALVES = (("upper", 1, True), ("lower", 1, False), ("left", 0, True), ("right", 0, False))
_CLEAR = 0.06


class Places(Asker):
    """Where things are."""

    def where(self) -> list[Talk]:
        """In which of the nine fields a thing is, or each of two."""
        if self.rng.random() < 0.18:
            name = self.missing()
            return [one_turn(self.ask("where", **the_one(name)), truths.none_of(name))]
        few = [thing for thing in self.scene.things if thing.count < 3]
        pool = self.singles if self.rng.random() < 0.75 else few
        if not pool:
            return []
        thing = self.rng.choice(pool)
        return [one_turn(self.ask("where", **the(thing)), truths.positions(thing))]

    def is_where(self) -> list[Talk]:
        """Whether a thing is in a field, asked of a right and of a wrong one.

        "At the top" takes in its corners.
        """
        if not self.singles:
            return []
        thing = self.rng.choice(self.singles)
        field = where(thing.centers[0])
        talks = []
        for right in self.rng.sample((True, False), 2):
            fitting = [one for one in truths.FIELDS if truths.lies_in(field, one) == right]
            asked = self._called(self.rng.choice(fitting))
            question = self.ask("is where", the=f"the {thing.name}", field=asked)
            answer = f"{'Yes' if right else 'No'}, the {thing.name} {truths.verb(thing)} {field}."
            talks.append(one_turn(question, answer))
        return talks

    def is_half(self) -> list[Talk]:
        """Whether a thing is in a half of the picture, asked of both halves."""
        axis = self.rng.randrange(2)
        clear = [t for t in self.singles if abs(t.centers[0][axis] - 0.5) > _CLEAR]
        if not clear:
            return []
        thing = self.rng.choice(clear)
        halves, talks = [(half, low) for half, along, low in _HALVES if along == axis], []
        for half, low in self.rng.sample(halves, len(halves)):
            yes = "Yes" if (thing.centers[0][axis] < 0.5) == low else "No"
            question = self.ask("is half", the=f"the {thing.name}", half=half)
            answer = f"{yes}, the {thing.name} {truths.verb(thing)} {where(thing.centers[0])}."
            talks.append(one_turn(question, answer))
        return talks

    def what_is_where(self) -> list[Talk]:
        """What is in a field, or that nothing is."""
        asked = self.rng.choice(truths.FIELDS)
        if self.rng.random() < 0.75:
            asked = where(self.rng.choice(self.there().centers))
        found = {
            thing.name: sum(truths.lies_in(where(center), asked) for center in thing.centers)
            for thing in truths.left_to_right(self.scene)
        }
        parts = [
            with_article(name) if count == 1 else f"{NUMBERS[count]} {plural(name)}"
            for name, count in found.items()
            if count
        ]
        answer = truths.sentence(truths.join(parts)) if parts else "Nothing."
        return [one_turn(self.ask("what is where", field=self._called(asked)), answer)]

    def what_is_related(self) -> list[Talk]:
        """Everything on one side of a single thing, or what is next to it."""
        if not self.singles or len(self.scene.things) < 2:
            return []
        thing = self.rng.choice(self.singles)
        if self.rng.random() < 0.3:
            other = truths.nearest(self.scene, thing)
            if other is None:
                return []
            question = self.ask("next to", **the(thing))
            return [one_turn(question, truths.inventory([other], color=False))]
        way = self.rng.choice(truths.WAYS)
        found = truths.beyond(self.scene, way, thing)
        if found is None:
            return []
        answer = truths.inventory(found, color=False) if found else "Nothing."
        question = self.ask("what is related", **the(thing), way=self._said(way))
        return [one_turn(question, answer)]

    def _called(self, field: str) -> str:
        return self.rng.choice([field, *_CALLED.get(field, ())])

    def _said(self, way: str) -> str:
        return self.rng.choice(_SAID[way])

    def related(self) -> list[Talk]:
        """How two things lie to each other: single ones, now and then groups that lie apart."""
        if self.rng.random() < 0.15:
            return self._groups_related()
        if len(self.singles) < 2:
            return []
        one, other = self.rng.sample(self.singles, 2)
        named = {"the": f"the {one.name}", "is_": truths.verb(one), "other": f"the {other.name}"}
        way = truths.way(one, other)
        if way and self.rng.random() < 0.4:
            answer = f"The {one.name} {truths.verb(one)} {way} the {other.name}."
            return [one_turn(self.ask("how related", **named), answer)]
        asked = self.rng.choice(truths.WAYS)
        right = truths.is_related(one, asked, other)
        if right is None:
            return []
        truth, yes = (asked, "Yes") if right else (truths.opposite(asked), "No")
        answer = f"{yes}, the {one.name} {truths.verb(one)} {truth} the {other.name}."
        short = [self.rng.random() < 0.3]
        return self.alike("is related", short, right, answer, {**named, "way": self._said(asked)})

    def _groups_related(self) -> list[Talk]:
        """Whether all pieces of one thing lie so to all of another."""
        if len(self.scene.things) < 2:
            return []
        one, other = self.rng.sample(list(self.scene.things), 2)
        ways = [way for way in truths.WAYS if truths.all_related(one, way, other)]
        if not ways:
            return []
        truth = self.rng.choice(ways)
        right = self.rng.random() < 0.5
        asked = truth if right else truths.opposite(truth)
        slots = {**the(one), "other": f"the {truths.noun(other)}", "way": self._said(asked)}
        said = f"the {truths.noun(one)} {truths.verb(one)} {truth} the {truths.noun(other)}."
        answer = f"{'Yes' if right else 'No'}, {said}"
        return self.alike("is related", [self.rng.random() < 0.3], right, answer, slots)

    def box(self) -> list[Talk]:
        """Where exactly; the boxes of two, left to right."""
        if self.rng.random() < 0.15:
            name = self.missing()
            return [one_turn(self.ask("box", **the_one(name)), truths.none_of(name))]
        few = [thing for thing in self.scene.things if thing.count < 3]
        pool = self.singles if self.rng.random() < 0.9 else few
        if not pool:
            return []
        thing = self.rng.choice(pool)
        return [one_turn(self.ask("box", **the(thing)), boxes(thing))]

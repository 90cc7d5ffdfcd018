"""Questions about more than one class, about kinds of things, and about things of no class."""

from bundled_model.conversations import truths
from bundled_model.conversations.asker import Asker, Talk, one_turn, the
from bundled_model.conversations.unknowable import NO_SUCH, NONE
from bundled_model.conversations.vocabulary import GROUPS, STRANGERS, is_or_are
from memvr_integrations.bundled.world import plural, surely_absent, with_article

_FOOD = "food"


class Groups(Asker):
    """Animals, two things at once, everything but one, and what nobody drew."""

    strangers = STRANGERS
    asked_of_strangers: tuple[str, ...] = (
        "exists", "exists", "exists", "anyone", "count", "color", "where", "box"
    )  # fmt: skip

    def group(self) -> list[Talk]:
        """Whether there is any of a kind of things, which, and how many."""
        group = self.rng.choice(list(GROUPS))
        members, unclear = GROUPS[group]
        if unclear & self.scene.names:
            return []
        found = [thing for thing in truths.left_to_right(self.scene) if thing.name in members]
        slots = {"group": group, "groups": plural(group)}
        none = f"there {'is' if group == _FOOD else 'are'} no {plural(group)}"
        listed = truths.inventory(found, color=False) if found else truths.sentence(none)
        roll = self.rng.random()
        if roll < 0.25 and group != _FOOD:
            total = sum(thing.count for thing in found)
            return [one_turn(self.ask("how many of group", **slots), truths.amount(group, total))]
        if roll < 0.45:
            return [one_turn(self.ask("which of group", **slots), listed)]
        answer = f"Yes, {listed[0].lower()}{listed[1:]}" if found else f"No, {none}."
        kind = "any food" if group == _FOOD else "any of group"
        return self.alike(kind, [self.rng.random() < 0.3], bool(found), answer, slots)

    def stranger(self) -> list[Talk]:
        """A thing that no scene shows; there may be no word for it."""
        name = self.rng.choice(surely_absent(self.strangers, self.scene.names))
        slots = {"a": with_article(name), "c": name, "p": plural(name)}
        slots |= {"the": f"the {name}", "is_": "is"}
        kind = self.rng.choice(self.asked_of_strangers)
        if kind in ("exists", "anyone"):
            answer = f"No, {NO_SUCH}"
            return self.alike(kind, [self.rng.random() < 0.4], False, answer, slots)
        return [one_turn(self.ask(kind, **slots), NONE if kind == "count" else NO_SUCH)]

    def two(self) -> list[Talk]:
        """Whether both, or either, of two things are there."""
        names = [self._some(), self._some()]
        if names[0] == names[1]:
            return []
        there = [name for name in names if name in self.scene.names]
        missing = [name for name in names if name not in self.scene.names]
        kind = self.rng.choice(("two", "two", "either"))
        yes = bool(there) if kind == "either" else not missing
        said = [with_article(name) for name in there] if yes else [f"no {name}" for name in missing]
        are = "is" if yes else is_or_are(missing[0])
        answer = f"{'Yes' if yes else 'No'}, there {are} {truths.join(said)}."
        slots = {slot: with_article(name) for slot, name in zip("ab", names, strict=True)}
        return self.alike(kind, [self.rng.random() < 0.3], yes, answer, slots)

    def besides(self) -> list[Talk]:
        """Everything but one thing."""
        thing = self.there()
        others = [one for one in truths.left_to_right(self.scene) if one is not thing]
        answer = truths.inventory(others, color=False) if others else "Nothing."
        return [one_turn(self.ask("besides", **the(thing)), answer)]

    def _some(self) -> str:
        return self.there().name if self.rng.random() < 0.65 else self.missing()

"""Questions about how many there are."""

from bundled_model.conversations import truths
from bundled_model.conversations.asker import Asker, Talk, one_turn
from memvr_integrations.bundled.world import NUMBERS, plural

ONE_WORD = (" Answer in one word.", " Answer with one word.", " One word, please.")


class Amounts(Asker):
    """How many things are there."""

    def count(self) -> list[Talk]:
        """How many of a kind; rare counts more often, or "one" would be right most of the time."""
        if self.rng.random() < 0.12:
            name, count = self.missing(), 0
        else:
            things = self.scene.things
            thing = self.rng.choices(things, [min(one.count, 4) for one in things])[0]
            name, count = thing.name, thing.count
        talks = [one_turn(self.ask("count", p=plural(name)), truths.amount(name, count))]
        if self.rng.random() < 0.2:
            question = self.ask("count", p=plural(name)) + self.rng.choice(ONE_WORD)
            talks.append(one_turn(question, truths.sentence(truths.number(count))))
        return talks

    def is_count(self) -> list[Talk]:
        """Whether there are so many."""
        thing = self.there()
        if thing.count >= truths.MANY:
            return []
        right = self.rng.random() < 0.5
        others = [count for count in (2, 3, 4) if count != thing.count]
        asked = thing.count if right and thing.count > 1 else self.rng.choice(others)
        yes = "Yes" if asked == thing.count else "No"
        truth = truths.amount(thing.name, thing.count)
        question = self.ask("is count", n=NUMBERS[asked], p=plural(thing.name))
        return [one_turn(question, f"{yes}, {truth[0].lower()}{truth[1:]}")]

    def compare_count(self) -> list[Talk]:
        """Whether there are at least, more than, or only so many."""
        thing = self.there()
        how = self.rng.choice(("at least", "more than", "more than one", "only one"))
        least = self.rng.choice((2, 3, 4))
        enough = {
            "at least": thing.count >= least,
            "more than": thing.count > least,
            "more than one": thing.count > 1,
            "only one": thing.count == 1,
        }
        question = self.ask(how, n=NUMBERS[least], p=plural(thing.name), c=thing.name)
        truth = truths.amount(thing.name, thing.count)
        yes = "Yes" if enough[how] else "No"
        return [one_turn(question, f"{yes}, {truth[0].lower()}{truth[1:]}")]

    def more(self) -> list[Talk]:
        """Which of two there are more of."""
        if len(self.scene.things) < 2:
            return []
        one, other = self.rng.sample(list(self.scene.things), 2)
        yes = "Yes" if one.count > other.count else "No"
        question = self.ask("more", p=plural(one.name), q=plural(other.name))
        counts = truths.join([truths.counted(one), truths.counted(other)])
        are = "is" if one.count == 1 else "are"
        return [one_turn(question, f"{yes}, there {are} {counts}.")]

    def most(self) -> list[Talk]:
        """What there is most of."""
        counts = sorted((thing.count for thing in self.scene.things), reverse=True)
        if counts[0] == 1 or counts[0] in counts[1:]:
            return []
        thing = max(self.scene.things, key=lambda one: one.count)
        return [one_turn(self.ask("most"), truths.amount(thing.name, thing.count))]

    def how_many_things(self) -> list[Talk]:
        """The number of all pieces."""
        total = sum(thing.count for thing in self.scene.things)
        answer = "There is one thing." if total == 1 else f"There are {NUMBERS[total]} things."
        return [one_turn(self.ask("how many things"), answer)]

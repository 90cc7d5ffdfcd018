"""Mixed requests from many threads and tasks at once, against the same requests alone."""

import json
import random
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from asks import Ask, Asks
from calling import Heard
from crowd import Crowd
from flatness import LIMIT, Held, Memory, eventually, growth
from judging import faults
from outcome import Found
from worlds import TURN, World, kind_of, world

from memvr_integrations.errors import MemVRWarning

ROUNDING = 1e-5  # of a strategy's cut, in proportion
TOGETHER = 50  # requests after which all is quiet once: compared, kept, measured

RESIDENT = "memory of the process"
# What is held, by its key in `Memory`, and the unit in which it is said.
HELD = {
    RESIDENT: ("resident", 2**20, "MiB"),
    "of it asked for and not given back": ("asked", 2**20, "MiB"),
    "Python's own pieces": ("blocks", 1000, "thousand"),
}

Line: TypeAlias = dict[str, object]


def soak(
    *,
    count: int = 1000,
    model: str = "bundled",
    seed: int = 0,
    callers: int = 24,
    compared: float = 1.0,
    deadline: float = 300.0,
    state: str = "",
) -> Found:
    """Requests of every kind by threads and tasks at once, a third of them left before the end.

    Pictures, text alone, streams, tools, JSON schemas, several answers, seeds, all decoding
    strategies, MemVR on, off and by settings of its own, stop strings, time-outs, requests that
    are refused. Each answer is compared with the same request alone, on a backend that serves one
    caller. `model` is "bundled", or "tiny" for small random models of five families in turn.
    `compared` is the share that is compared, `deadline` the seconds after which a caller counts as
    hanging. With a `state` file a soak goes on where it was stopped.
    """
    with TemporaryDirectory() as folder:
        diary = Diary(of=f"{model}, seed {seed}", file=Path(state or f"{folder}/state"))
        _served(diary, count, model, seed, callers, compared, deadline)
        return diary.found(model)


def _served(
    diary: "Diary",
    count: int,
    model: str,
    seed: int,
    callers: int,
    compared: float,
    deadline: float,
) -> None:
    # Many random answers are empty, which a warning says of each.
    warnings.simplefilter("ignore", MemVRWarning)
    before = Held.now()
    missing = [number for number in range(count) if number not in diary.done]
    for turn in _turns(model, missing):
        with world(kind_of(model, turn[0])) as models:
            made = Asks(seed, models.material)
            for at in range(0, len(turn), TOGETHER):
                if not diary.hung:
                    numbers = turn[at : at + TOGETHER]
                    rest = _together(models, made, numbers, callers, compared, deadline, diary)
                    diary.rest(rest)  # when requests and answers are gone
        if diary.hung:
            break
    if missing:
        left_over = before.left_over()
        diary.write({"wrong": left_over, "left over": len(left_over)})


def _turns(model: str, numbers: Sequence[int]) -> Iterator[list[int]]:
    """The numbers that go to one model before the next is loaded."""
    turn: list[int] = []
    for number in numbers:
        if turn and model == "tiny" and number // TURN != turn[0] // TURN:
            yield turn
            turn = []
        turn.append(number)
    if turn:
        yield turn


def _together(
    models: World,
    made: Asks,
    numbers: Sequence[int],
    callers: int,
    compared: float,
    deadline: float,
    diary: "Diary",
) -> Line:
    """Let some requests come at once, then each alone, and note what became of them.

    Returns what else there is to write down.
    """
    asks = [made(number) for number in numbers]
    begun, steps = time.monotonic(), models.busy.steps
    crowd = Crowd(models.busy, callers=callers, deadline=deadline)
    heard = crowd.serve(asks)
    wrong = list(crowd.hung)
    if not wrong and not eventually(lambda: not models.busy.busy):
        wrong.append(f"rows of requests {asks[0].number} to {asks[-1].number} still run or wait")
    chosen = [ask for ask in asks if random.Random(ask.number).random() < compared]
    single = Crowd(models.alone, callers=1, deadline=deadline)
    alone = single.serve([_unhurried(ask) for ask in chosen if ask.number in heard])
    wrong += [f"alone, {sentence}" for sentence in single.hung]
    for ask in asks:
        if ask.number in heard:
            mine, own, moved = heard[ask.number], alone.get(ask.number), None
            if own is not None and faults(ask, mine, own):
                moved = _at_a_cut(single, ask, mine)
            diary.note(ask, mine, moved or own, at_a_cut=moved is not None)
    return {
        "seconds": time.monotonic() - begun,
        "steps": models.busy.steps - steps,
        "wrong": wrong,
        "hung": len(crowd.hung) + len(single.hung),
    }


def _at_a_cut(single: Crowd, ask: Ask, heard: Heard) -> Heard | None:
    """The same request alone with its strategy's cut moved by a rounding error, if that is heard.

    A cut is sharp: of a token that lies on it to the last bits, a batch decides either way.
    """
    config = ask.request.strategy
    if config is None or not getattr(config, "beta", 0):
        return None
    for factor in (1 - ROUNDING, 1 + ROUNDING):
        moved = replace(config, beta=config.beta * factor)
        request = replace(ask.request, decoding=moved)
        own = single.serve([_unhurried(replace(ask, request=request))])[ask.number]
        if own.whole is not None:
            others = tuple(replace(one, decoding=config) for one in own.whole.alternatives)
            own.whole = replace(own.whole, decoding=config, alternatives=others)
        if not faults(ask, heard, own):
            return own
    return None


def _unhurried(ask: Ask) -> Ask:
    """The same request by a caller with time, who stays to the end."""
    return replace(ask, request=replace(ask.request, timeout=None), way="generate", leaving=None)


@dataclass
class Diary:
    """What became of each request: lines of JSON in a file, none of them in memory.

    The memory of this process is what is measured, so that a diary must not grow there. `of` says
    which requests they are, so that a file is not gone on with by others.
    """

    of: str
    file: Path

    def __post_init__(self) -> None:
        self._run = time.time_ns()
        self._fresh: list[Line] = []
        self.file.touch()
        whole, _, torn = self.file.read_text().rpartition("\n")
        if torn:  # by whatever stopped it
            self.file.write_text(f"{whole}\n" if whole else "")
        for others in {line["of"] for line in self.lines() if "of" in line} - {self.of}:
            raise SystemExit(f"{self.file} is the state of {others}, not of {self.of}.")
        self._wrong, self.hung = len(self.wrong), self.total("hung")

    def lines(self) -> Iterator[Line]:
        """All that was written."""
        with self.file.open() as kept:
            yield from map(json.loads, kept)

    @property
    def done(self) -> set[object]:
        """The numbers of the requests that are behind us."""
        return {line["number"] for line in self.lines() if "number" in line}

    def note(self, ask: Ask, heard: Heard, alone: Heard | None, *, at_a_cut: bool = False) -> None:
        """Write down one call."""
        whole = [piece.whole for piece in heard.pieces.values() if piece.whole is not None]
        if heard.whole is not None:
            whole = [heard.whole, *heard.whole.alternatives]
        strategy = ask.request.strategy
        self._fresh.append(
            {
                "number": ask.number,
                "end": heard.end,
                "left by": f"{ask.way} {ask.leaving}" if heard.left else "",
                "answers": len(whole),
                "tokens": sum(len(one.tokens) for one in whole),
                "triggers": sum(one.retraced for one in whole),
                "strategy": strategy.name if strategy is not None and whole else "",
                "compared": alone is not None,
                "at a cut": int(at_a_cut),
                "wrong": faults(ask, heard, alone),
            }
        )

    def rest(self, line: Line) -> None:
        """Write a line while nothing runs, and what is held; keep all since the rest before."""
        held = vars(Memory.now())
        self.write({"of": self.of, "run": self._run, "memory": held, **line})
        print(f"{len(self.done)} requests, {self._wrong} wrong", flush=True)

    def write(self, line: Line) -> None:
        """Keep a line, after those that were noted before."""
        self._fresh.append(line)
        with self.file.open("a") as kept:
            kept.writelines(json.dumps(line) + "\n" for line in self._fresh)
        self._wrong += sum(len(one["wrong"]) for one in self._fresh)
        self.hung += sum(one.get("hung", 0) for one in self._fresh)
        self._fresh = []

    @property
    def wrong(self) -> list[str]:
        """Everything that was wrong so far."""
        return [sentence for line in self.lines() for sentence in line["wrong"]]

    def total(self, what: str) -> float:
        """The sum of a number over all lines that have it."""
        return sum(line.get(what, 0) for line in self.lines())

    def found(self, model: str) -> Found:
        """All of it together."""
        calls = [line for line in self.lines() if "number" in line]
        ends = Counter(str(line["end"]) for line in calls)
        refused = {end: n for end, n in ends.items() if end not in ("answered", "left")}
        timed_out = refused.pop("RequestTimeoutError", 0)
        wrong = self.wrong
        if not self.total("triggers"):
            wrong.append("no layer triggered anywhere, so that this shows little")
        memory = self._memory()
        wrong += [
            f"{what} grew by {grown:.1%}: {said}"
            for what, (grown, said) in memory.items()
            if what != RESIDENT and grown > LIMIT
        ]
        figures: dict[str, int | float | str] = {
            "requests": len(calls),
            "answered to the end": ends["answered"],
            "left by their callers before the end": _listed(
                Counter(str(line["left by"]) for line in calls if line["left by"])
            ),
            "timed out": timed_out,
            "refused": _listed(refused),
            "answers": int(self.total("answers")),
            "their tokens": int(self.total("tokens")),
            "tokens at which a layer triggered": int(self.total("triggers")),
            "steps": int(self.total("steps")),
            "by a strategy": _listed(Counter(str(c["strategy"]) for c in calls if c["strategy"])),
            "compared with the same request alone": sum(bool(c["compared"]) for c in calls),
            "of them on a strategy's cut to the last bits": int(self.total("at a cut")),
            "wrong": sum(bool(c["wrong"]) for c in calls),
            "hanging": int(self.total("hung")),
            **{what: said for what, (_, said) in memory.items()},
            "threads and files left over": int(self.total("left over")),
        }
        return Found(
            figures=figures,
            wrong=tuple(wrong),
            of=model,
            seconds=self.total("seconds"),
        )

    def _memory(self) -> dict[str, tuple[float, str]]:
        """By what is held: how much it grew in the longest run, and in words."""
        runs: dict[object, list[dict[str, int]]] = {}
        for line in self.lines():
            if "memory" in line:
                runs.setdefault(line["run"], []).append(line["memory"])
        longest = max(runs.values(), key=len, default=[])
        found = {}
        for what, (key, size, unit) in HELD.items():
            medians = growth([one[key] for one in longest if one[key] is not None])
            if medians is None:
                found[what] = 0.0, f"not judged by {len(longest)} samples"
                continue
            warm, last = medians
            grown = last / warm - 1
            said = (
                f"{warm / size:.0f} {unit} once warm, {last / size:.0f} at the end ({grown:+.1%})"
            )
            found[what] = grown, said
        return found


def _listed(counts: dict[str, int]) -> str:
    """The sum, and what it is made of."""
    if not counts:
        return "0"
    parts = ", ".join(f"{name} {counts[name]}" for name in sorted(counts))
    return f"{sum(counts.values())} ({parts})"

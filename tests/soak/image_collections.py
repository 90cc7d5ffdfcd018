"""Collections on disk whose process is killed, whose disk is full, or that two work on at once."""

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import PIL.Image
from fields import COLORS, SeeingEngine
from killing import Ended, Report, Running
from llama_index.vector_stores.qdrant import QdrantVectorStore
from outcome import Found
from qdrant_client import QdrantClient

from memvr_integrations.backend.images import load_image
from memvr_integrations.llama_index import ImageCollectionIndex, MemVRMultiModalLLM

# name -> what it shows, and the year that was said of it
State = dict[str, tuple[str, int | None]]
_OPERATIONS = 14  # of one process
_NAMES = [f"{letter}{at}" for letter in "ab" for at in range(6)]
_COLOURS = list(COLORS)


@dataclass(frozen=True, kw_only=True)
class Step:
    """An operation and what the collection holds once it is done."""

    about: str
    after: State
    act: Callable[[ImageCollectionIndex], object]


def _paint(file: Path, colour: str) -> None:
    half = file.with_suffix(".half")
    PIL.Image.new("RGB", (9, 7), COLORS[colour]).save(half, "PNG")
    half.rename(file)


def _shown_in(file: Path) -> str:
    pixel = load_image(file).getpixel((0, 0))
    return next(name for name, colour in COLORS.items() if colour == pixel)


@contextmanager
def opened(folder: Path, engine: SeeingEngine | None = None) -> Iterator[ImageCollectionIndex]:
    """The collection in a folder, or a new one; with a folder `vectors` beside it in Qdrant."""
    llm = MemVRMultiModalLLM(model="scripted", engine=engine or SeeingEngine())
    vectors = folder.parent / "vectors"
    with ExitStack() as held:
        store = None
        if vectors.is_dir():
            client = held.enter_context(closing(QdrantClient(path=str(vectors))))
            store = QdrantVectorStore(collection_name="photos", client=client)
        index = ImageCollectionIndex(
            folder, llm=llm, vector_store=store, batch_size=2, show_progress=False
        )
        yield held.enter_context(index)


def _name(path: str, place: Path) -> str:
    file = Path(path)
    return file.stem if file.parent == place / "photos" else f"kept {_shown_in(file)}"


def held(index: ImageCollectionIndex, place: Path) -> State:
    """What a collection holds, by its captions; ValueError where something is there twice."""
    nodes = list(index)
    names = [_name(str(node.image_path), place) for node in nodes]
    colours = {name: _colour(node.text) for name, node in zip(names, nodes, strict=True)}
    for word_weight in (0, 1):  # by vectors alone, which a store keeps elsewhere; and with words
        search = index.as_retriever(similarity_top_k=99, word_weight=word_weight)
        found = search.retrieve("A field?") if names else []
        searched = [_name(str(one.node.image_path), place) for one in found]
        if len(set(names)) < len(names) or sorted(searched) != sorted(names):
            raise ValueError(f"it holds {sorted(names)}, and finds {sorted(searched)}")
        texts = {_name(str(one.node.image_path), place): _colour(one.node.text) for one in found}
        if texts != colours:
            raise ValueError(f"it holds {colours}, and finds {texts}")
    years = [node.metadata.get("year") for node in nodes]
    return {name: (colours[name], year) for name, year in zip(names, years, strict=True)}


def _colour(caption: str) -> str:
    return caption.rstrip(".").rpartition(" ")[2]


def _step(rng: random.Random, place: Path, state: State, own: list[str]) -> Step:
    """The next operation: one of the ways to add, change and remove."""
    photos, there = place / "photos", [name for name in own if name in state]
    some = rng.sample(own, rng.randint(1, 4))
    colour, year = rng.choice(_COLOURS), rng.randrange(1900, 2000)
    files = {name: photos / f"{name}.png" for name in own}
    match rng.choice(("add", "add", "change", "label", "remove", "keep")):
        case "label" if there:
            name = rng.choice(there)
            after = state | {name: (_shown_in(files[name]), year)}
            return Step(
                about="label",
                after=after,
                act=lambda index: index.add((files[name], {"year": year})),
            )
        case "remove" if there:
            gone = [name for name in there if name in some] or there[:1]
            after = {name: one for name, one in state.items() if name not in gone}
            return Step(
                about="remove",
                after=after,
                act=lambda index: index.remove([files[name] for name in gone]),
            )
        case "change" if there:
            _paint(files[there[0]], colour)
            seen = {name: (_shown_in(files[name]), state[name][1]) for name in there}
            return Step(
                about="change",
                after=state | seen,
                act=lambda index: index.add([files[name] for name in there]),
            )
        case "keep":
            picture = PIL.Image.new("RGB", (9, 7), COLORS[colour])
            kept = {f"kept {colour}": (colour, state.get(f"kept {colour}", ("", None))[1])}
            return Step(about="keep", after=state | kept, act=lambda index: index.add(picture))
    for name in some:
        if not files[name].exists():
            _paint(files[name], colour)
    added = {name: (_shown_in(files[name]), state.get(name, ("", None))[1]) for name in some}
    return Step(
        about="add",
        after=state | added,
        act=lambda index: index.add([files[name] for name in some]),
    )


def work(
    report: Report,
    place: Path,
    seed: int,
    state: State,
    own: list[str],
    engine: SeeingEngine | None = None,
) -> None:
    """Operate on a collection at random; report each operation before and after."""
    rng = random.Random(seed)
    with opened(place / "index", engine) as index:
        report(("open", state))
        for _ in range(_OPERATIONS):
            step = _step(rng, place, state, own)
            report((f"begin {step.about}", step.after))
            step.act(index)
            report(("done", step.after))
            state = step.after


def possible(ended: Ended, before: State) -> tuple[State, State]:
    """What is certain by the reports, and what would be if the last operation was done too."""
    certain = after = before
    for kind, state in ended.reported:  # type: ignore[misc]  # what `work` reports
        after = state
        if kind in ("done", "open"):
            certain = state
    return certain, after


def judged(
    place: Path, certain: State, after: State, folder: Path | None = None
) -> tuple[State, str]:
    """What a collection holds when it is opened again, and what is wrong with that."""
    try:
        with opened(folder or place / "index") as index:
            now = held(index, place)
    except Exception as error:
        return certain, f"opened again, {type(error).__name__}: {error}"
    for name in {*certain, *after, *now}:
        if now.get(name) not in (certain.get(name), after.get(name)):
            return now, (
                f"{name} is {now.get(name)}, not {certain.get(name)} as reported, "
                f"nor {after.get(name)} as begun"
            )
    return now, ""


@dataclass
class Tally:
    """What came of each run, by kind."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def take(self, kind: str, about: str, ended: Ended, why: str) -> None:
        """Count one run, and keep what was wrong: an error that is not ours is."""
        self.counts[kind] += 1
        self.counts[f"{kind}, clear errors"] += bool(ended.error) and ended.typed
        if why := why or ("" if ended.typed else ended.error):
            self.wrong.append(f"{kind}, {about}: {why}")


def soak(
    *,
    kills: int = 100,
    store_kills: int = 100,
    seed: int = 0,
    pairs: int = 20,
    step_bytes: int = 4096,
) -> Found:
    """Collections while they are written: killed, on a full disk, two processes at once."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        for place in _places(Path(folder) / "killed", 1):
            _kill(place, "killed", kills, seed, tally)
        for place in _places(Path(folder) / "killed in Qdrant", 1):
            (place / "vectors").mkdir()
            _kill(place, "killed, vectors in Qdrant", store_kills, seed, tally)
        _fill_disk(Path(folder) / "full", seed, step_bytes, tally)
        for at, place in enumerate(_places(Path(folder) / "pairs", pairs)):
            _work_in_pairs(place, seed + at, tally)
    counts = tally.counts
    figures: dict[str, int | float | str] = {
        what: counts[what]
        for kind in ("killed", "killed, vectors in Qdrant", "full disk", "two at once")
        for what in (kind, f"{kind}, clear errors")
    }
    figures["operations done before the kills"] = counts["done"]
    figures["kills in the middle of an operation"] = counts["within"]
    figures["lost, twice, damaged or without a clear error"] = len(tally.wrong)
    return Found(figures=figures, wrong=tuple(tally.wrong))


def _places(folder: Path, count: int) -> Iterator[Path]:
    for at in range(count):
        (folder / str(at) / "photos").mkdir(parents=True)
        yield folder / str(at)


def _kill(place: Path, kind: str, kills: int, seed: int, tally: Tally) -> None:
    """One collection, killed again and again at any point of its work."""
    rng, state = random.Random(seed), State()
    for at in range(kills):
        running = Running(work, place, rng.randrange(2**32), state, _NAMES)
        reports = rng.randrange(1, 2 * _OPERATIONS)
        ended = running.end(reports=reports, pause=rng.random() ** 2 * 0.05)
        certain, after = possible(ended, state)
        state, why = judged(place, certain, after)
        tally.take(kind, f"kill {at} of seed {seed}", ended, why)
        steps = [step for step, _ in ended.reported]  # type: ignore[misc]  # what `work` reports
        tally.counts["done"] += steps.count("done")
        tally.counts["within"] += ended.killed and bool(steps) and steps[-1].startswith("begin")


def _fill_disk(folder: Path, seed: int, step_bytes: int, tally: Tally) -> None:
    """A disk that is full sooner or later; with room again, all goes on."""
    for at, place in enumerate(_places(folder, 200)):
        most = at * step_bytes
        ended = Running(work, place, seed, {}, _NAMES, most_bytes=most).end()
        state, why = judged(place, *possible(ended, {}))
        if not why and ended.error:
            again = Running(work, place, seed + 1, state, _NAMES).end()
            why = again.error or judged(place, *possible(again, state))[1]
        tally.take("full disk", f"files of {most} bytes", ended, why)
        if not ended.error:
            return


def _work_in_pairs(place: Path, seed: int, tally: Tally) -> None:
    """Two processes begin one collection at once, each with pictures of its own."""
    own = [_NAMES[:6], _NAMES[6:]]
    both = [Running(work, place, seed * 2 + at, {}, own[at]) for at in range(2)]
    ends = [one.end() for one in both]
    certain, after = State(), State()
    for ended in ends:
        done, begun = possible(ended, {})
        certain, after = certain | done, after | begun
    _, why = judged(place, certain, after)
    for ended in ends:
        tally.take("two at once", f"pair of seed {seed}", ended, why)

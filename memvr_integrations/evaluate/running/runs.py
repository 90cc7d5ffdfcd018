"""The answers of one evaluation on disk: a line each, so that a run that was stopped goes on."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_type_hints

from filelock import FileLock, Timeout

from memvr_integrations.errors import ConfigError

PLAN, ANSWERS = "run.json", "answers.jsonl"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one way of decoding answered to one question.

    `retraced` counts tokens at which the model retraced. `error` says why there is no answer;
    it is None where there is one. `seconds` is the question's share of its batch's time.
    `unsureness` is that of `Completion`, None where an earlier version wrote the answer.
    """

    strategy: str
    seed: int
    question: str
    text: str
    tokens: int = 0
    retraced: int = 0
    seconds: float = 0.0
    error: str | None = None
    unsureness: float | None = None

    @property
    def key(self) -> tuple[str, int, str]:
        """What was asked, and how."""
        return self.strategy, self.seed, self.question


_KINDS = get_type_hints(Answer)


class Run:
    """A folder with the plan of an evaluation and the answers that it has so far.

    Answers are appended and flushed to the disk, batch after batch. A line that a crash cut off is
    cut away when the folder is opened again, and its question asked again.
    """

    def __init__(
        self,
        folder: Path,
        plan: Mapping[str, object],
        *,
        ways: Mapping[str, object],
        retry: bool = False,
    ) -> None:
        """Open a folder for a plan, or go on with what it holds of the same plan.

        `ways` says by name how answers are come by: more may join later, none may change. With
        `retry`, questions that failed count as not asked.

        Raises:
            ConfigError: The folder holds another plan's answers, or can't be used.
        """
        self.folder: Path = folder
        self.plan: dict[str, object] = json.loads(json.dumps(dict(plan)))
        self._answers = dict[tuple[str, int, str], Answer]()
        self._again: set[tuple[str, int, str]] | None = None if retry else set()
        with _errors_of(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with self.alone():
            self._keep_plan(json.loads(json.dumps(dict(ways))))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from asking the same questions meanwhile.

        Raises:
            ConfigError: Another one is at it, or the folder can't be written to.
        """
        lock = FileLock(self.folder / "run.lock", timeout=0)
        try:
            with _errors_of(self.folder):
                lock.acquire()
        except Timeout:
            raise ConfigError(
                f"Another process is asking the questions of {self.folder}; wait for it, or "
                "choose another folder."
            ) from None
        try:
            with _errors_of(self.folder):
                answers = {answer.key: answer for answer in self._read()}
            if self._again is None:
                self._again = {key for key, one in answers.items() if one.error is not None}
            self._answers = {
                key: one
                for key, one in answers.items()
                if one.error is None or key not in self._again
            }
            yield
        finally:
            lock.release()

    def __contains__(self, key: tuple[str, int, str]) -> bool:
        return key in self._answers

    def __iter__(self) -> Iterator[Answer]:
        return iter(self._answers.values())

    def __len__(self) -> int:
        return len(self._answers)

    def add(self, answers: Iterable[Answer]) -> None:
        """Keep some answers; when this returns, they survive whatever happens.

        Raises:
            ConfigError: The file can't be written.
        """
        new = [answer for answer in answers if answer.key not in self._answers]
        path = self.folder / ANSWERS
        # A lone surrogate, which UTF-8 can't hold, becomes an escape that JSON reads.
        with _errors_of(path), path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in new)
            file.flush()
            os.fsync(file.fileno())
        self._answers |= {answer.key: answer for answer in new}

    def texts(self, strategy: str, seed: int) -> dict[str, str]:
        """Answers by question; those that failed are not among them."""
        return {
            one.question: one.text
            for one in self
            if (one.strategy, one.seed) == (strategy, seed) and one.error is None
        }

    def _keep_plan(self, ways: Mapping[str, object]) -> None:
        path = self.folder / PLAN
        if path.exists():
            before, old = _read_plan(path)
            common = sorted(old.keys() & ways)
            self._check_same(
                before | {f"strategy {name}": old[name] for name in common},
                self.plan | {f"strategy {name}": ways[name] for name in common},
            )
            ways = {**old, **ways}
        elif self._answers:
            raise ConfigError(
                f"{self.folder} holds answers, but no {PLAN} that says to what. Choose a new "
                "folder."
            )
        unfinished = path.with_name(f"{PLAN}.unfinished")
        plan = {"plan": self.plan, "strategies": ways}
        with _errors_of(path):
            unfinished.write_text(json.dumps(plan, indent=1), encoding="utf-8")
            os.replace(unfinished, path)
            (self.folder / ANSWERS).open("a").close()  # fails now if it can't be written

    def _check_same(self, before: Mapping[str, object], now: Mapping[str, object]) -> None:
        other = sorted(n for n in before.keys() | now if before.get(n) != now.get(n))
        if other:
            differences = "; ".join(
                f"{n}: {before.get(n)!r} there, {now.get(n)!r} now" for n in other
            )
            raise ConfigError(
                f"{self.folder} holds another evaluation ({differences[:400]}). Choose a new "
                "folder, or repeat that one's options to go on with it."
            )

    def _read(self) -> Iterator[Answer]:
        path = self.folder / ANSWERS
        if not path.exists():
            return
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            with path.open("r+b") as file:
                file.truncate(len(whole))
        # Not splitlines(): an answer may hold other separators of lines.
        for number, line in enumerate(whole.split(b"\n")[:-1], start=1):
            try:
                yield _answer(json.loads(line.decode("utf-8")))
            except (ValueError, TypeError) as error:
                raise ConfigError(
                    f"{path}, line {number}, is no answer ({error}). Delete that line to have its "
                    "question asked again."
                ) from None


def _answer(read: dict[str, object]) -> Answer:
    answer = Answer(**read)  # type: ignore[arg-type]
    for name, kind in _KINDS.items():
        value = getattr(answer, name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}")
    return answer


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Turn what the system says of files into an error of ours."""
    try:
        yield
    except Timeout:  # a lock that is held: an OSError too, and not the system's
        raise
    except OSError as error:
        what = error.strerror or error
        raise ConfigError(f"{path} can't be used ({what}). Choose another folder.") from None


def _read_plan(path: Path) -> tuple[dict[str, object], dict[str, object]]:
    """What an evaluation is about, and its strategies by name."""
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        return dict(plan["plan"]), dict(plan["strategies"])
    except (ValueError, TypeError, LookupError):
        raise ConfigError(
            f"{path} is no plan that this version can go on with. Choose a new folder."
        ) from None

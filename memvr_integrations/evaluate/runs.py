"""The answers of one evaluation on disk: a line each, so that a run that was stopped goes on."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from memvr_integrations.errors import ConfigError

PLAN, ANSWERS = "run.json", "answers.jsonl"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one way of decoding answered to one question.

    `retraced` counts tokens at which the model looked again. `error` tells why there is no answer;
    it is None where there is one. `seconds` is the question's share of its batch's time.
    """

    strategy: str
    seed: int
    question: str
    text: str
    tokens: int = 0
    retraced: int = 0
    seconds: float = 0.0
    error: str | None = None

    @property
    def key(self) -> tuple[str, int, str]:
        """What was asked, and how."""
        return self.strategy, self.seed, self.question


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
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{folder} can't be made a folder ({error}). Choose another."
            ) from None
        self._keep_plan(json.loads(json.dumps(dict(ways))))
        answers = {answer.key: answer for answer in self._read()}
        self._answers = {
            key: one for key, one in answers.items() if not (retry and one.error is not None)
        }

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from asking the same questions meanwhile.

        Raises:
            ConfigError: Another one is at it.
        """
        try:
            with FileLock(self.folder / "run.lock", timeout=0):
                yield
        except Timeout:
            raise ConfigError(
                f"Another process is asking the questions of {self.folder}; wait for it, or "
                "choose another folder."
            ) from None

    def __contains__(self, key: tuple[str, int, str]) -> bool:
        return key in self._answers

    def __iter__(self) -> Iterator[Answer]:
        return iter(self._answers.values())

    def __len__(self) -> int:
        return len(self._answers)

    def add(self, answers: Iterable[Answer]) -> None:
        """Keep some answers; when this returns, they survive whatever happens."""
        new = [answer for answer in answers if answer.key not in self._answers]
        with (self.folder / ANSWERS).open("a", encoding="utf-8") as file:
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
        unfinished = path.with_name(f"{PLAN}.unfinished")
        told = {"plan": self.plan, "strategies": ways}
        unfinished.write_text(json.dumps(told, indent=1), encoding="utf-8")
        os.replace(unfinished, path)

    def _check_same(self, before: Mapping[str, object], now: Mapping[str, object]) -> None:
        other = sorted(n for n in before.keys() | now if before.get(n) != now.get(n))
        if other:
            told = "; ".join(f"{n}: {before.get(n)!r} there, {now.get(n)!r} now" for n in other)
            raise ConfigError(
                f"{self.folder} holds another evaluation ({told[:400]}). Choose a new folder, or "
                "repeat that one's options to go on with it."
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
        for number, line in enumerate(whole.decode("utf-8").split("\n")[:-1], start=1):
            try:
                yield Answer(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise ConfigError(
                    f"{path}, line {number}, is no answer ({error}). Delete that line to have its "
                    "question asked again."
                ) from None


def _read_plan(path: Path) -> tuple[dict[str, object], dict[str, object]]:
    """What an evaluation is about, and its strategies by name."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return dict(told["plan"]), dict(told["strategies"])
    except (ValueError, TypeError, LookupError):
        raise ConfigError(
            f"{path} is no plan that this version can go on with. Choose a new folder."
        ) from None

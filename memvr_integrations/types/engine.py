"""What the integrations talk to: anything that answers requests, here or elsewhere."""

from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from memvr_integrations.types.answers import Chunk, Completion, Usage
from memvr_integrations.types.image_policy import ImagePolicy
from memvr_integrations.types.requests import Request


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Which model answers: what its answers may be kept under.

    Two engines have the same `key` only if they have the same weights and settings. `durable` says
    that it is the same in every process; what is kept under any other must not reach a disk, or
    must never be found there.
    """

    name: str
    key: str
    durable: bool


class Engine(Protocol):
    """Answers requests, here or elsewhere."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def identity(self) -> Identity:
        """Which model it is; the first time may take as long as reading its weights."""

    @property
    def abstention(self) -> float | None:
        """The unsureness above which its answers are better withheld; None where none was measured.

        From 0 to 1, as `Completion.unsureness`.
        """

    @property
    def context(self) -> int:
        """How many tokens the model reads, prompt and answer together."""

    @property
    def image_policy(self) -> ImagePolicy:
        """Which pictures may come in, where a request doesn't say."""

    def generate(self, requests: Request | Sequence[Request]) -> list[Completion]:
        """The answers, in the order of the requests."""

    def stream(self, request: Request) -> Generator[Chunk, None, None]:
        """The answer's chunks as they come; closing the generator stops the computing."""

    async def agenerate(self, requests: Request | Sequence[Request]) -> list[Completion]:
        """`generate` for asyncio; cancelling the task stops the computing."""

    def astream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """`stream` for asyncio; closing the generator stops the computing."""

    def score(
        self, request: Request, answers: Sequence[str], *, exclusive: bool = True
    ) -> list[float]:
        """How likely each answer is, as natural logarithms, in the order of `answers`.

        What goes on to a longer one of them is that one's alone, so that their shares are the
        softmax. Two answers that are the same to the model are refused. With `exclusive=False`
        each counts as if it were the only one.
        """

    async def ascore(
        self, request: Request, answers: Sequence[str], *, exclusive: bool = True
    ) -> list[float]:
        """`score` for asyncio; cancelling the task stops the computing."""

    def count(self, request: Request) -> Usage:
        """How many tokens the request's prompt has, with nothing computed."""

    def tokenize(self, text: str) -> list[int]:
        """The model's tokens of a text."""

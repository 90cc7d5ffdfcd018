"""What the integrations talk to: anything that answers requests, here or elsewhere."""

from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Protocol

from memvr_integrations.types.answers import Chunk, Completion, Usage
from memvr_integrations.types.image_policy import ImagePolicy
from memvr_integrations.types.requests import Request


class Engine(Protocol):
    """Answers requests, here or elsewhere."""

    @property
    def name(self) -> str:
        """The model's name."""

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

"""Engines that can say where an answer came from."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from memvr_integrations.errors import UnsupportedModelError
from memvr_integrations.types import Completion, Request
from memvr_integrations.types.engine import Engine

if TYPE_CHECKING:
    from memvr_integrations.explain.config import ExplainConfig
    from memvr_integrations.explain.explanation import Explanation


@runtime_checkable
class Explainer(Protocol):
    """What an engine has beside answers, where the model's inside is within reach."""

    def explain(
        self,
        request: Request,
        completion: Completion | None = None,
        *,
        config: "ExplainConfig | None" = None,
        progress: Callable[[float], None] | None = None,
    ) -> "Explanation":
        """Show where in the request's images its answer came from, word by word.

        `completion` is an answer that was given to the request; without it, it is answered first.
        """

    async def aexplain(
        self,
        request: Request,
        completion: Completion | None = None,
        *,
        config: "ExplainConfig | None" = None,
        progress: Callable[[float], None] | None = None,
    ) -> "Explanation":
        """`explain` for asyncio; cancelling the task stops the computing."""


def explainer(engine: Engine) -> Explainer:
    """An engine as one that explains.

    Raises:
        UnsupportedModelError: It can't.
    """
    if isinstance(engine, Explainer):
        return engine
    raise UnsupportedModelError(
        f"{type(engine).__name__} can't explain answers: it has no explain(). Use a Backend, which "
        "hosts the model itself."
    )

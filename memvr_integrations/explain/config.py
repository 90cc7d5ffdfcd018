"""How an answer is explained."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from memvr_integrations.checks import check_choice
from memvr_integrations.errors import ConfigError
from memvr_integrations.explain.mapped import ExplainedToken, ExplainMethod

MOST_TOKENS = 16
"""How many tokens are explained where none are chosen."""


@dataclass(frozen=True, kw_only=True)
class ExplainConfig:
    """How an answer is explained.

    Args:
        method: How maps are made; None: "attention_gradient" where gradients can be had, else
            "occlusion".
        second: Whether another method's maps are made as well, to say how far they agree. It costs
            up to 64 readings a picture.
        tokens: Which of the answer's tokens, counted from 0; None: those of words with content, at
            most 16 of them.
        compare: Whether an answer with MemVR is explained with it off as well.
    """

    method: ExplainMethod | None = None
    second: bool = True
    tokens: tuple[int, ...] | None = None
    compare: bool = True

    def __post_init__(self) -> None:
        """Check what was given.

        Raises:
            ConfigError: There is no such method.
        """
        if self.method is not None:
            check_choice("method", self.method, get_args(ExplainMethod))

    def chosen(self, tokens: Sequence[ExplainedToken]) -> list[int]:
        """The places of the tokens to explain.

        Raises:
            ConfigError: One of `tokens` is not in the answer, or the answer is empty.
        """
        if not tokens:
            raise ConfigError("The answer is empty, so there is nothing to explain.")
        if self.tokens is None:
            said = [at for at, token in enumerate(tokens) if token.text.strip()]
            content = [at for at in said if tokens[at].content]
            return (content or said or [0])[:MOST_TOKENS]
        for at in self.tokens:
            if not 0 <= at < len(tokens):
                raise ConfigError(
                    f"tokens names token {at}, and the answer has those from 0 to "
                    f"{len(tokens) - 1}."
                )
        if not self.tokens:
            raise ConfigError("tokens is empty; leave it out to explain the words with content.")
        return sorted(set(self.tokens))

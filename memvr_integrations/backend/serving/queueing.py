"""How many requests wait and run at once; read without torch."""

from dataclasses import dataclass

from memvr_integrations.checks import check_integer


@dataclass(frozen=True, kw_only=True)
class QueueConfig:
    """How many requests wait, and how many are computed together.

    `max_waiting` bounds the requests that may wait for their turn, `max_batch` the answers that
    are computed together, `max_batch_tokens` their tokens: all answers count as if each were as
    long as the longest may become, prompt included. `max_prompt_tokens` bounds the prompts that
    are read before others get their next token; none is read in parts, so one may be longer. A
    request that is larger than a bound by itself runs alone.
    """

    max_batch: int = 16
    max_batch_tokens: int = 32768
    max_prompt_tokens: int = 1024
    max_waiting: int = 256

    def __post_init__(self) -> None:
        """Refuse a queue that nothing could ever leave."""
        check_integer("max_batch", self.max_batch, least=1)
        check_integer("max_batch_tokens", self.max_batch_tokens, least=1)
        check_integer("max_prompt_tokens", self.max_prompt_tokens, least=1)
        check_integer("max_waiting", self.max_waiting, least=1)

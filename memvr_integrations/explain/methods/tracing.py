"""Reading once with gradients, for the methods that trace a score backwards."""

import functools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from memvr_integrations.explain.attention import Score, recorded, traced
from memvr_integrations.explain.methods.method import Found, Slice
from memvr_integrations.explain.reading import Reader, Target
from memvr_integrations.explain.replay import Replay
from memvr_integrations.memvr.arming.anatomy import find_anatomy


def attention_traced(
    reader: Reader,
    targets: Sequence[Target],
    replay: Replay | None,
    found: Found,
    rule: Score,
) -> list[Slice]:
    """Slices of work: read once, then trace each target through all that attention did."""
    state: dict[str, object] = {}

    def read() -> None:
        with recorded() as calls:
            state["logits"] = read_with_gradients(reader, replay)
        state["calls"] = calls

    def trace(target: Target) -> None:
        logits, calls = state["logits"], state["calls"]
        assert isinstance(logits, Tensor)
        assert isinstance(calls, list)
        score = target.score(logits)[0]
        found.scores[target.place] = float(score.detach())
        values = traced(calls, score, text_after_pictures(reader), reader.columns, rule)
        found.values[target.place] = values.cpu()

    return [read, *(functools.partial(trace, target) for target in targets)]


def read_with_gradients(reader: Reader, replay: Replay | None) -> Tensor:
    """The answer's logits, (1, answer, vocabulary), with a graph from the decoder's input on."""
    with ExitStack() as acting:
        acting.enter_context(_leaf(reader.model))
        if replay is not None:
            acting.enter_context(replay.acting())
        return reader.logits([reader.visual])


def text_after_pictures(reader: Reader) -> Tensor:
    """The positions of prompt and answer that are text and come after a visual token, (n,)."""
    columns = reader.columns
    end = reader.length + len(reader.answer) - 1
    text = torch.ones(end, dtype=torch.bool, device=columns.device)
    text[columns] = False
    text[: int(columns.min())] = False
    return text.nonzero()[:, 0]


@contextmanager
def _leaf(model: nn.Module) -> Iterator[None]:
    """Let gradients begin at the first decoder layer; weights get none, which would fill memory."""

    def begin(
        module: nn.Module, args: tuple[object, ...], given: dict[str, object]
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        if args and isinstance(args[0], Tensor):
            return (args[0].detach().requires_grad_(), *args[1:]), given
        states = given["hidden_states"]
        assert isinstance(states, Tensor)
        return args, {**given, "hidden_states": states.detach().requires_grad_()}

    handle = find_anatomy(model).layers[0].register_forward_pre_hook(begin, with_kwargs=True)
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    try:
        for weight in learning:
            weight.requires_grad_(False)
        yield
    finally:
        handle.remove()
        for weight in learning:
            weight.requires_grad_(True)

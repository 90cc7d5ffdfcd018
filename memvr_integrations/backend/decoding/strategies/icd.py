"""Instruction contrastive decoding: a second run reads a disturbed question."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from memvr_integrations.backend.decoding.inputs import batch_inputs
from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.strategies.rule import Rule
from memvr_integrations.backend.decoding.strategies.stream import Stream, against
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.types import Message, Request, Text
from memvr_integrations.types.decoding import ICDConfig


@contextmanager
def icd(host: Host, rows: Sequence[Row], config: ICDConfig) -> Iterator[Rule]:
    """`(1 + alpha) l(x) - alpha l(d + x)`, cut to what is plausible after x."""
    prompts = [row.second_prompt for row in rows]
    pictures = [row.job.pictures for row in rows]
    stream = Stream(host, batch_inputs(host, prompts, pictures), max(row.most for row in rows))
    yield against(stream, config, 1 + config.alpha)


def disturbed(request: Request, disturbance: str) -> Request:
    """The request with a sentence before the first text of its newest user message."""
    messages = list(request.messages)
    users = [at for at, message in enumerate(messages) if message.role == "user"]
    at = users[-1] if users else len(messages) - 1
    message, parts = messages[at], list(messages[at].content)
    # In one text with the question: templates differ in what they put between two.
    for place, part in enumerate(parts):
        if isinstance(part, Text):
            parts[place] = Text(f"{disturbance} {part.text}")
            break
    else:
        parts.append(Text(disturbance))
    messages[at] = Message(message.role, parts, name=message.name, tool_calls=message.tool_calls)
    return replace(request, messages=tuple(messages))

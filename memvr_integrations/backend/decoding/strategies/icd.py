"""Instruction contrastive decoding: a second run reads a disturbed question."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from memvr_integrations.backend.decoding.jobs import Job, Row
from memvr_integrations.backend.decoding.strategies.logit_rules import Rule
from memvr_integrations.backend.decoding.strategies.method import Method
from memvr_integrations.backend.decoding.strategies.second_run import against, second_run
from memvr_integrations.backend.hosting.prompts.writer import Prompt
from memvr_integrations.types import Message, Request, Text
from memvr_integrations.types.decoding import ICDConfig


class ICD(Method[ICDConfig]):
    """`(1 + alpha) l(x) - alpha l(d + x)`, cut to what is plausible after x."""

    def second_prompt(self, job: Job) -> Prompt:
        """The prompt with the disturbance in it."""
        disturbing = disturbed(job.request, self.config.disturbance)
        return self.host.prompts.fitted(disturbing, job.pictures)

    def rule(self, rows: Sequence[Row]) -> AbstractContextManager[Rule]:
        """Let the second run read the disturbed prompts."""
        disturbing = second_run(self.host, rows)
        return nullcontext(against(disturbing, self.config, 1 + self.config.alpha))


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

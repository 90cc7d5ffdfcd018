"""Instruction contrastive decoding: a second stream reads a disturbed question."""

from dataclasses import replace

from memvr_integrations.backend.decoding.jobs import Job
from memvr_integrations.backend.decoding.strategies.contrasting import Contrasting
from memvr_integrations.backend.hosting.prompts.writer import Prompt
from memvr_integrations.types import Message, Request, Text
from memvr_integrations.types.decoding import ICDConfig


class ICD(Contrasting[ICDConfig]):
    """`(1 + alpha) l(x) - alpha l(d + x)`, cut to what is plausible after x."""

    def second_prompt(self, job: Job) -> Prompt:
        """The prompt with the disturbance in it."""
        disturbing = disturbed(job.request, self.config.disturbance)
        return self.host.prompts.fitted(disturbing, job.pictures)


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

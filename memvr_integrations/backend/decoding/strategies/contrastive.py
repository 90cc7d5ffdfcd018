"""Contrastive decoding: a smaller model with the same tokenizer follows along."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from memvr_integrations.backend.decoding.inputs import batch_inputs
from memvr_integrations.backend.decoding.jobs import Row
from memvr_integrations.backend.decoding.strategies.rule import Rule
from memvr_integrations.backend.decoding.strategies.stream import Stream, against
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.types.decoding import ContrastiveConfig


@contextmanager
def contrastive(host: Host, rows: Sequence[Row], config: ContrastiveConfig) -> Iterator[Rule]:
    """`log p_teacher - alpha log p_student`, cut to what is plausible for the teacher."""
    student = host.students.get(config.student)
    prompts = [row.second_prompt for row in rows]
    pictures = [row.job.pictures for row in rows]
    stream = Stream(
        student, batch_inputs(student, prompts, pictures), max(row.most for row in rows)
    )
    yield against(stream, config, 1.0, log=True)

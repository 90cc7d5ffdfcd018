"""Contrastive decoding: a smaller model with the same tokenizer follows along."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from memvr_integrations.backend.decoding.jobs import Job, Row
from memvr_integrations.backend.decoding.strategies.logit_rules import Rule
from memvr_integrations.backend.decoding.strategies.method import Method
from memvr_integrations.backend.decoding.strategies.second_run import against, second_run
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.prompts.writer import Prompt
from memvr_integrations.types.decoding import ContrastiveConfig


class Contrastive(Method[ContrastiveConfig]):
    """`log p_teacher - alpha log p_student`, cut to what is plausible for the teacher."""

    @property
    def _student(self) -> Host:
        return self.host.students.get(self.config.student)

    def check(self) -> None:
        """Load the student, unless a control leaves it out."""
        if not self.config.control:
            _ = self._student

    def second_prompt(self, job: Job) -> Prompt:
        """The prompt as the student's own template writes it."""
        return self._student.prompts.fitted(job.request, job.pictures)

    def rule(self, rows: Sequence[Row]) -> AbstractContextManager[Rule]:
        """Let the student read its own prompts."""
        following = second_run(self._student, rows)
        return nullcontext(against(following, self.config, 1.0, log=True))

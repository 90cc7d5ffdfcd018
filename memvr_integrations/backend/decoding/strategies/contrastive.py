"""Contrastive decoding: a smaller model with the same tokenizer follows along."""

from memvr_integrations.backend.decoding.jobs import Job, Row
from memvr_integrations.backend.decoding.strategies.contrasting import Contrasting
from memvr_integrations.backend.decoding.strategies.method import Second
from memvr_integrations.backend.hosting.host import Host
from memvr_integrations.backend.hosting.prompts.writer import Prompt
from memvr_integrations.types.decoding import ContrastiveConfig


class Contrastive(Contrasting[ContrastiveConfig]):
    """`log p_teacher - alpha log p_student`, cut to what is plausible for the teacher."""

    log = True

    @property
    def _student(self) -> Host:
        return self.host.students.get(self.config.student)

    def check(self) -> None:
        """Load the student."""
        _ = self._student

    def second_prompt(self, job: Job) -> Prompt:
        """The prompt as the student's own template writes it."""
        return self._student.prompts.fitted(job.request, job.pictures)

    def second(self, row: Row) -> Second:
        """The student, with its own prompt."""
        return Second(host=self._student, prompt=row.second_prompt, pictures=row.job.pictures)

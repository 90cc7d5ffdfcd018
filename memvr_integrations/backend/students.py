"""Smaller models that contrastive decoding needs beside the one that is served."""

import threading
from typing import TYPE_CHECKING

from memvr_integrations.backend.loading import LoadConfig, load_model
from memvr_integrations.backend.vision import FeatureCache
from memvr_integrations.errors import ConfigError

if TYPE_CHECKING:
    from memvr_integrations.backend.host import Host


class Students:
    """Each is loaded once, at its first use, and let go with its teacher."""

    def __init__(self, teacher: "Host") -> None:
        self._teacher = teacher
        self._known: dict[str, Host] = {}
        self._loading = threading.Lock()

    def get(self, name: str) -> "Host":
        """The student of a name, on the teacher's device and in its precision.

        Raises:
            ConfigError: Its tokenizer is another one than the teacher's.
            MemVRError: It can't be loaded.
        """
        with self._loading:
            if name not in self._known:
                self._known[name] = self._load(name)
            return self._known[name]

    def release(self) -> None:
        """Let all of them go."""
        with self._loading:
            for student in self._known.values():
                student.release()
            self._known.clear()

    def _load(self, name: str) -> "Host":
        teacher = self._teacher
        dtype = str(teacher.model.dtype).removeprefix("torch.")
        config = LoadConfig(
            device=str(teacher.model.device),
            dtype=dtype,  # type: ignore[arg-type]  # one of those that a model can be loaded in
            progress=False,
        )
        student = type(teacher)(load_model(name, config), FeatureCache())
        if student.tokenizer.get_vocab() != teacher.tokenizer.get_vocab():
            student.release()
            raise ConfigError(
                f"student={name!r} has another tokenizer than {teacher.name}, so their tokens "
                "can't be compared. Choose a smaller model of the same family."
            )
        return student

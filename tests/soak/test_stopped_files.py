"""What is lost, twice or cut in an evaluation or a conversion is found."""

import pytest
import torch
from safetensors.torch import save_file
from stopped_files import answered, answering, converted

from memvr_integrations.evaluate.running.runs import ANSWERS


class Killed(BaseException):
    pass


def test_an_evaluation_that_stops_goes_on(tmp_path):
    kept = []

    def report(batch):
        kept.extend(batch)
        if len(kept) == 20:
            raise Killed

    with pytest.raises(Killed):
        answering(report, tmp_path)
    assert answered(tmp_path, set(kept)) == (set(kept), "")
    answering(report, tmp_path)
    found, why = answered(tmp_path, set(kept))
    assert (len(found), why) == (60, "")
    assert len(kept) == 60  # none was answered twice


def test_lost_doubled_and_cut_answers_are_found(tmp_path):
    answering(lambda batch: None, tmp_path)
    assert "['61'] are lost" in answered(tmp_path, {"1", "61"})[1]
    lines = (tmp_path / ANSWERS).read_text().splitlines(keepends=True)
    (tmp_path / ANSWERS).write_text("".join([*lines, lines[0]]))
    assert answered(tmp_path, {"1"})[1] == "61 lines hold 60 answers"
    (tmp_path / ANSWERS).write_text(lines[0].replace("! 0!", "!", 1))
    assert "cut" in answered(tmp_path, set())[1]
    (tmp_path / ANSWERS).write_text("nothing\n")
    assert "opened again, ConfigError" in answered(tmp_path, set())[1]


def test_missing_changed_and_unfinished_weights_are_found(tmp_path):
    whole = {"a": torch.ones(2), "b": torch.zeros(2)}
    save_file({"a": torch.ones(2)}, tmp_path / "1.safetensors")
    assert "1 parameters are missing" in converted(tmp_path, whole)
    save_file({"b": torch.ones(2)}, tmp_path / "2.safetensors")
    assert converted(tmp_path, whole) == "['b'] differ"
    save_file({"b": torch.zeros(2)}, tmp_path / "2.safetensors")
    assert converted(tmp_path, whole) == ""
    (tmp_path / "3.safetensors.unfinished").touch()
    assert "left over" in converted(tmp_path, whole)

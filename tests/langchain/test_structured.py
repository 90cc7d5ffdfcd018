import datetime
import json

import pytest
from pydantic import BaseModel, ConfigDict
from scripted_engine import ScriptedEngine

from memvr_integrations.langchain import ChatMemVR


class Visit(BaseModel):
    """A visit."""

    model_config = ConfigDict(strict=True)

    day: datetime.date
    people: tuple[str, ...]


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_a_strict_class_reads_json_as_json(method):
    answer = json.dumps({"day": "2026-11-23", "people": ["Ana", "Bo"]})
    model = ChatMemVR(model="scripted", engine=ScriptedEngine(lambda request: answer))
    found = model.with_structured_output(Visit, method=method).invoke("Who came, and when?")
    assert found == Visit(day=datetime.date(2026, 11, 23), people=("Ana", "Bo"))


def test_what_a_class_checks_beyond_its_schema_is_reported():
    engine = ScriptedEngine(lambda request: '{"day": "2026-11-23", "people": 3}')
    model = ChatMemVR(model="scripted", engine=engine)
    found = model.with_structured_output(Visit, include_raw=True).invoke("Who came?")
    assert found["parsed"] is None
    assert "Failed to parse Visit" in str(found["parsing_error"])

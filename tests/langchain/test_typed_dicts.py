"""TypedDicts as schemas, in every form that people write them."""

import typing
from typing import Annotated, Literal, NotRequired, Required

import pytest
import typing_extensions
from jsonschema import Draft202012Validator
from pydantic import Field
from typing_extensions import ReadOnly

from memvr_integrations.errors import RequestError
from memvr_integrations.langchain import ChatMemVR
from memvr_integrations.langchain.typed_dicts import schema_of_typed_dict

MAKERS = [typing.TypedDict, typing_extensions.TypedDict]


@pytest.fixture(params=MAKERS, ids=["standard", "extensions"])
def seen(request):
    class Place(request.param):
        """Where it is."""

        x: int
        y: NotRequired[int]

    class Loose(request.param, total=False):
        """May lack all."""

        note: str
        must: Required[bool]

    class Seen(request.param):
        """What is seen."""

        name: Annotated[str, ..., "The thing"]
        color: Annotated[Literal["red", "blue"], "red", "Its colour"]
        places: list[Place]
        loose: Loose | None
        size: ReadOnly[Annotated[int, Field(ge=1)]]
        by_name: dict[str, Place]

    return Seen


def test_nested_ones_keep_what_may_be_left_out(seen):
    schema = schema_of_typed_dict(seen)
    assert sorted(schema["required"]) == ["by_name", "loose", "name", "places", "size"]
    assert schema["description"] == "What is seen."
    assert schema["properties"]["name"]["description"] == "The thing"
    assert schema["properties"]["color"]["default"] == "red"
    assert schema["properties"]["size"]["minimum"] == 1
    assert schema["$defs"]["Place"]["required"] == ["x"]
    assert schema["$defs"]["Loose"]["required"] == ["must"]
    good = {
        "name": "cow",
        "places": [{"x": 1}],
        "loose": {"must": True},
        "size": 1,
        "by_name": {"a": {"x": 1, "y": 2}},
    }
    check = Draft202012Validator(schema)
    check.validate(good)
    assert not check.is_valid({**good, "loose": {"note": "x"}})


# The other kind has the same schema, as the test above shows.
@pytest.mark.parametrize("seen", [typing_extensions.TypedDict], indirect=True, ids=["extensions"])
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_they_hold_a_models_answers(seen, method, backend):
    model = ChatMemVR(engine=backend, max_tokens=100, temperature=1, seed=1)
    chain = model.with_structured_output(seen, method=method)
    [*_, last] = chain.stream("What is there?")
    Draft202012Validator(schema_of_typed_dict(seen)).validate(last)


def test_what_has_no_schema_is_refused():
    class Odd(typing_extensions.TypedDict):
        what: object()

    with pytest.raises((RequestError, TypeError)):
        schema_of_typed_dict(Odd)


class Node(typing_extensions.TypedDict):
    inner: "list[Node]"


def test_one_that_contains_itself_is_refused():
    with pytest.raises(RequestError, match="contains itself"):
        schema_of_typed_dict(Node)

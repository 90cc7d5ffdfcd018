"""Pictures by the names that an agent calls them."""

import pytest

from memvr_integrations.errors import ConfigError, RequestError
from memvr_integrations.grounding.named_pictures import NamedPictures

PICTURES = NamedPictures(images={"kitchen": b"k", "farm": b"f"})


def test_a_name_stands_for_its_picture():
    assert PICTURES.source("farm") == b"f"


def test_an_unknown_name_lists_those_that_there_are():
    with pytest.raises(RequestError, match=r"'kichen'\. Did you mean 'kitchen'\?.* kitchen, farm"):
        PICTURES.source("kichen")


def test_the_names_are_said_to_the_model():
    schema = PICTURES.arguments.model_json_schema()
    assert schema["properties"]["picture"]["enum"] == ["kitchen", "farm"]
    assert schema["required"] == ["picture", "question"]
    assert "Pictures: kitchen, farm." in PICTURES.description


@pytest.mark.parametrize(
    ("images", "said"),
    [({}, "is empty"), (["a.png"], "give a dict"), ({" ": b""}, "picture's name"), ({1: b""}, "1")],
)
def test_what_names_nothing_is_refused(images, said):
    with pytest.raises(ConfigError, match=said):
        NamedPictures(images=images)

import pytest

from memvr_integrations.errors import ConfigError
from memvr_integrations.grounding.captions import caption_from


def test_a_caption_has_no_blanks_around_it():
    assert caption_from(" A farm.\n", prompt="Describe.", model="bundled") == "A farm."


def test_an_empty_one_is_an_error():
    with pytest.raises(ConfigError, match="bundled gave an empty caption to prompt"):
        caption_from(" \n", prompt="Describe.", model="bundled")

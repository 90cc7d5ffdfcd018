"""What a model reads is known from its settings alone, without transformers."""

from memvr_integrations.backend.hosting.catalog_row import written_context
from memvr_integrations.backend.hosting.loading import context_of
from memvr_integrations.bundled import WEIGHTS


def test_settings_say_what_transformers_would():
    assert written_context(WEIGHTS) == context_of("bundled") == 2048


def test_settings_that_do_not_say_it_are_left_to_transformers(tmp_path):
    assert written_context(tmp_path) is None
    for text in ("{", "[]", "{}", '{"text_config": {"max_position_embeddings": "many"}}'):
        (tmp_path / "config.json").write_text(text)
        assert written_context(tmp_path) is None

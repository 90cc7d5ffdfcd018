"""The command, run in this process."""

import pytest
from typer.testing import CliRunner

from memvr_integrations.backend import Backend
from memvr_integrations.cli import app


@pytest.fixture
def memvr(monkeypatch, make_backend):
    """Run the command in this process, on the model that is loaded already."""
    calls = []

    def load(name, **options):
        calls.append((name, options))
        return make_backend()

    monkeypatch.setattr(Backend, "load", load)

    def run(*arguments, stdin=None):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    run.calls = calls
    return run

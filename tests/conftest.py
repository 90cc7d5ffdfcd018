"""Fixtures for all tests: tests/support/shared_fixtures.py."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    # Of several processes, the one that hands out the tests runs none: it needs no model code,
    # whose import would hold up all the others.
    runs_none = config.getoption("tx", None) and not config.getoption("collectonly")
    if hasattr(config, "workerinput") or not runs_none:
        config.pluginmanager.import_plugin("shared_fixtures")

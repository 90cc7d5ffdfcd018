"""Fixtures for all tests: tests/support/shared_fixtures.py."""

import gc

import pytest


def pytest_configure(config: pytest.Config) -> None:
    # Of several processes, the one that hands out the tests runs none: it needs no model code,
    # whose import would hold up all the others.
    runs_none = config.getoption("tx", None) and not config.getoption("collectonly")
    if hasattr(config, "workerinput") or not runs_none:
        gc.disable()  # until all is imported
        config.pluginmanager.import_plugin("shared_fixtures")


def pytest_collection_finish() -> None:
    # What was imported stays: the collector need not go through a million objects each time.
    gc.freeze()
    gc.enable()

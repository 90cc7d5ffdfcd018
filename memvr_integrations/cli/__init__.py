"""The `memvr` command."""

from memvr_integrations.cli.app import app, main

__all__ = ["app", "main"]

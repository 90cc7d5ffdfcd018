"""Importing the chat model brings in no model code: torch and the rest come with a model."""

import subprocess
import sys

LOADED = """
import sys
from memvr_integrations.langchain import ChatMemVR, image_block
print(*sys.modules)
"""


def test_the_backend_is_not_imported():
    out = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True)
    heavy = ("memvr_integrations.backend", "memvr_integrations.models", "transformers", "PIL")
    assert [name for name in out.stdout.split() if name.startswith(heavy)] == []

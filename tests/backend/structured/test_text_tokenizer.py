"""What a grammar asks for is spelled in ordinary tokens, also where it reads as a control token."""

import copy
import json
import re
import string

import pytest
from bundled_model.training.model import open_tokenizer
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from memvr_integrations.backend.structured.constraint import Grammars
from memvr_integrations.backend.structured.grammar import grammar_of
from memvr_integrations.errors import RequestError
from memvr_integrations.types import Message, Request, Tool

SIGNS = [*string.punctuation, *string.ascii_letters, *string.digits]
SPELLED = ["<s>", "a</s>b", "<unk>", "<pad>", "<|im_end|>", "[INST]", "</tool_call>", "\0\x1f\x7f"]


def byte_level():
    made = copy.deepcopy(open_tokenizer())
    made.add_tokens([AddedToken(name) for name in ("<tool_call>", "</tool_call>")])
    made.add_special_tokens({"additional_special_tokens": ["<|im_end|>", "[INST]"]})
    return made


def sentence_pieces():
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    names += ["▁", *SIGNS, "s>", "[INST]"]
    model = models.BPE(
        vocab={name: id_ for id_, name in enumerate(names)},
        merges=[("s", ">"), ("<", "s>")],
        unk_token="<unk>",
        byte_fallback=True,
    )
    made = Tokenizer(model)
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return named(made, unk_token="<unk>", additional_special_tokens=["<s>", "[INST]"])


def pieces_with_scores():
    names = ["<unk>", "<s>", "</s>", "▁", *SIGNS, *(f"<0x{byte:02X}>" for byte in range(256))]
    made = Tokenizer(models.Unigram([(name, -1.0) for name in names], 0, byte_fallback=True))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return named(made, unk_token="<unk>", additional_special_tokens=["<s>", "<|im_end|>"])


def named(tokenizer, **special):
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", **special)


def held(tokenizer):
    ends = frozenset([tokenizer.eos_token_id])
    return Grammars(tokenizer, vocabulary=len(tokenizer), ends=ends)


def shortest(tokenizer, grammars, **options):
    """The ids of an answer that takes the way out, and its text."""
    grammar = grammar_of(Request(messages=[Message("user", "Hello")], **options))
    constraint, ids = grammars.start(grammar, 400), []
    while not ids or ids[-1] != tokenizer.eos_token_id:
        allowed = constraint.allowed()
        assert allowed is not None
        ids.append(constraint.take(int(allowed.int().argmax())))
    return ids[:-1], tokenizer.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("make", [byte_level, sentence_pieces, pieces_with_scores])
def test_what_spells_a_control_token_is_text(make):
    tokenizer = make()
    grammars, control = held(tokenizer), set(tokenizer.added_tokens_decoder)
    for text in SPELLED:
        pattern = re.escape(text).replace("\0", r"\x00")
        schemas = [
            {"const": text},
            {"enum": [text]},
            {"type": "string", "pattern": f"^{pattern}$"},
            {"type": "object", "properties": {text: {"const": text}}},
        ]
        for schema in schemas:
            ids, written = shortest(tokenizer, grammars, response_format=schema)
            assert json.loads(written) in (text, {text: text})
            assert control.isdisjoint(ids)
    only = {"type": "object", "properties": {"k": {"const": "<s>", "default": "</s>"}}}
    tools = [Tool(name="act", description="", parameters=only)]
    ids, written = shortest(tokenizer, grammars, tools=tools, tool_choice="required")
    call = '<tool_call>{"name": "act", "arguments": {"k": "<s>"}}</tool_call>'
    assert written.lstrip().startswith(call)
    assert control.isdisjoint(ids)


def test_a_text_without_tokens_is_refused_by_its_name():
    vocabulary = {sign: id_ for id_, sign in enumerate(["</s>", '"', "a", "b", "Ġ"])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    tokenizer = named(made)
    grammars = held(tokenizer)
    assert shortest(tokenizer, grammars, response_format={"enum": ["ab", "é"]})[1] == '"ab"'
    with pytest.raises(RequestError, match="The text 'é' of this schema can't be written"):
        shortest(tokenizer, grammars, response_format={"const": "é"})

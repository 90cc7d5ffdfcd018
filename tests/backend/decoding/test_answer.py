"""From token ids to text: nothing lost, nothing broken, nothing taken back."""

import random

import pytest
from tokenizers import Tokenizer, decoders, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from memvr_integrations.backend.decoding.answer import AnswerText
from memvr_integrations.bundled import WEIGHTS
from memvr_integrations.types import TokenRecord, TopToken

UNKNOWN = "\ufffd"


def byte_level():
    """The bundled tokenizer: bytes as letters, as GPT-2 and SmolVLM have it."""
    return AutoTokenizer.from_pretrained(str(WEIGHTS))


def byte_fallback():
    """A tokenizer as Llama and LLaVA have it: words, and a token a byte for everything else."""
    words = ["▁", "▁dog", "▁cat", "a", "b", "▁a", "é", "漢", "s", ".", "▁▁"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *words]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    inner = Tokenizer(
        models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>")
    )
    inner.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    inner.add_special_tokens(["<unk>", "<s>", "</s>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="</s>", clean_up_tokenization_spaces=False
    )


@pytest.fixture(scope="module", params=[byte_level, byte_fallback])
def tokenizer(request):
    return request.param()


def bytes_as_ids(tokenizer, text):
    """Token ids that say `text` a byte at a time."""
    if tokenizer.convert_tokens_to_ids("<0x41>") is not None and "<0x41>" in tokenizer.get_vocab():
        return [tokenizer.convert_tokens_to_ids(f"<0x{byte:02X}>") for byte in text.encode()]
    return [
        id for character in text for id in tokenizer(character, add_special_tokens=False).input_ids
    ]


def feed(tokenizer, ids, *stop):
    """The answer's text, and what every token released, as a caller sees it."""
    answer = AnswerText(tokenizer, stop)
    releases = []
    for number, id in enumerate(ids):
        releases.append(answer.add(TokenRecord(id=id, text="", logprob=-float(number))))
        if answer.stopped:
            break
    releases.append(answer.finish())
    tokens = [token for release in releases for token in release]
    assert "".join(token.text for token in tokens) == answer.text
    assert [token.logprob for token in tokens] == [-float(n) for n in range(len(tokens))]
    return answer, releases


@pytest.mark.parametrize("seed", range(4))
def test_pieces_are_the_decoded_whole(tokenizer, seed):
    rng = random.Random(seed)
    some = bytes_as_ids(tokenizer, "é漢😀 x\n")
    for _ in range(250):
        pool = some if rng.random() < 0.5 else range(len(tokenizer))
        ids = [rng.choice(pool) for _ in range(rng.randrange(1, 25))]
        answer, releases = feed(tokenizer, ids)
        assert sum(map(len, releases)) == len(ids)
        whole = tokenizer.decode(ids, skip_special_tokens=True).lstrip()
        if UNKNOWN not in whole:
            assert answer.text == whole


def test_bytes_that_are_no_character_break_nothing(tokenizer):
    # tokenizers' own DecodeStream raises "Invalid prefix" on the like of this.
    first, *_ = bytes_as_ids(tokenizer, "😀")
    word = bytes_as_ids(tokenizer, "A")
    last = tokenizer.convert_tokens_to_ids("a")
    answer, _ = feed(tokenizer, [*word, first, last, *word, first, first, last])
    assert answer.text.startswith("A")
    assert answer.text.endswith("a")
    assert UNKNOWN in answer.text


@pytest.mark.parametrize("text", ["😀", "漢字", "né", "x😀y漢z", "👩‍🚀 ok"])
def test_a_character_comes_whole_or_not_at_all(tokenizer, text):
    ids = bytes_as_ids(tokenizer, text)
    assert len(ids) > len(text.encode()) - 3
    answer, releases = feed(tokenizer, ids)
    assert answer.text == text
    assert not any(UNKNOWN in token.text for release in releases for token in release)


def test_half_a_character_at_the_end_is_shown_as_unknown(tokenizer):
    ids = [*bytes_as_ids(tokenizer, "ok"), *bytes_as_ids(tokenizer, "😀")[:2]]
    answer, releases = feed(tokenizer, ids)
    assert answer.text.rstrip(UNKNOWN) == "ok"
    assert answer.text != "ok"
    assert [token.id for release in releases for token in release] == ids


def test_a_piece_is_released_with_its_token(tokenizer):
    ids = bytes_as_ids(tokenizer, "abc")
    _, releases = feed(tokenizer, ids)
    assert [[token.text for token in release] for release in releases] == [["a"], ["b"], ["c"], []]


def test_the_space_before_the_answer_is_dropped_and_those_inside_are_kept(tokenizer):
    ids = bytes_as_ids(tokenizer, "  \n a  b ")
    assert feed(tokenizer, ids)[0].text == "a  b "


def test_special_tokens_say_nothing_but_are_counted(tokenizer):
    end = tokenizer.eos_token_id
    ids = [end, *bytes_as_ids(tokenizer, "a"), end]
    answer, releases = feed(tokenizer, ids)
    tokens = [token for release in releases for token in release]
    assert (answer.text, [token.id for token in tokens]) == ("a", ids)
    assert [token.text for token in tokens] == ["", "a", ""]


def stopped(tokenizer, text, *stop):
    answer, releases = feed(tokenizer, bytes_as_ids(tokenizer, text), *stop)
    return answer.text, answer.stopped, sum(map(len, releases))


@pytest.mark.parametrize(
    ("text", "stop", "expected", "used"),
    [
        ("one two three", ["two"], "one ", 7),  # across tokens, trimmed
        ("one two three", ["ee", "t"], "one ", 5),  # the earliest of several
        ("one two three", ["e t", "two"], "on", 5),
        ("xyz", ["x"], "", 1),  # in the first token
        ("aaab", ["aab"], "a", 4),  # a match that begins anew inside a false start
        ("a😀b", ["😀"], "a", 5),  # a character of several tokens
        ("ababac", ["abac"], "ab", 6),
    ],
)
def test_stop_strings(tokenizer, text, stop, expected, used):
    assert stopped(tokenizer, text, *stop) == (expected, True, used)


def test_what_might_have_been_a_stop_string_is_released(tokenizer):
    assert stopped(tokenizer, "wait: ST", "STOP") == ("wait: ST", False, 8)
    assert stopped(tokenizer, "STO, no", "STOP") == ("STO, no", False, 7)
    _, releases = feed(tokenizer, bytes_as_ids(tokenizer, "aSTb"), "STOP")
    assert [len(release) for release in releases] == [1, 0, 0, 3, 0]


def test_nothing_of_a_stop_string_is_ever_released(tokenizer):
    rng = random.Random(5)
    for _ in range(300):
        text = "".join(rng.choice("ab") for _ in range(12))
        stops = ["".join(rng.choice("ab") for _ in range(rng.randrange(2, 5))) for _ in range(2)]
        found = [at for stop in stops if (at := text.find(stop)) >= 0]
        first_end = min((text.find(s) + len(s) for s in stops if s in text), default=len(text))
        seen = text[:first_end]  # the answer ends with the first stop string that is complete
        expected = seen[: min(seen.find(s) for s in stops if s in seen)] if found else text
        assert stopped(tokenizer, text, *stops)[0] == expected


def test_a_stop_string_inside_one_token_trims_that_token():
    tokenizer = byte_level()
    word = max(
        tokenizer.get_vocab(), key=lambda token: (token.isalpha() and token.isascii(), len(token))
    )
    answer, releases = feed(tokenizer, [tokenizer.convert_tokens_to_ids(word)], word[2:4])
    assert answer.text == word[:2]
    assert [token.text for release in releases for token in release] == [word[:2]]


@pytest.mark.parametrize(
    ("least", "text"),
    [(0, "a"), (2, "a"), (3, "abca"), (5, "abca"), (6, "abcabcab"), (9, "abcabcab")],
)
def test_a_stop_string_within_the_first_tokens_cuts_nothing(tokenizer, least, text):
    """What counts is where it is complete, as in vLLM; here after 3 tokens and after 6."""
    answer, tokens = AnswerText(tokenizer, ("bc",), whole_until=least), []
    for id in bytes_as_ids(tokenizer, "abcabcab"):
        if not answer.stopped:
            tokens += answer.add(TokenRecord(id=id, text="", logprob=0.0))
    tokens += answer.finish()
    assert (answer.text, answer.stopped) == (text, len(text) < 8)
    assert "".join(token.text for token in tokens) == text


def test_a_silent_token_adds_nothing_and_releases_what_was_held(tokenizer):
    answer = AnswerText(tokenizer, ("bx",))
    first, second, third = bytes_as_ids(tokenizer, "abc")
    assert [t.text for t in answer.add(TokenRecord(id=first, text="", logprob=0.0))] == ["a"]
    assert answer.add(TokenRecord(id=second, text="", logprob=0.0)) == []
    released = answer.add(TokenRecord(id=third, text="", logprob=0.0), silent=True)
    assert [(token.id, token.text) for token in released] == [(second, "b"), (third, "")]
    assert (answer.text, answer.finish()) == ("ab", [])


def test_a_silent_token_after_half_a_character(tokenizer):
    answer = AnswerText(tokenizer, ())
    half, end = bytes_as_ids(tokenizer, "😀")[0], bytes_as_ids(tokenizer, "a")[0]
    assert answer.add(TokenRecord(id=half, text="", logprob=0.0)) == []
    released = answer.add(TokenRecord(id=end, text="", logprob=0.0), silent=True)
    assert [token.text for token in released] == [UNKNOWN, ""]


def test_likely_tokens_have_the_text_that_they_would_have_added(tokenizer):
    a, b, space = bytes_as_ids(tokenizer, "ab ")
    half, end = bytes_as_ids(tokenizer, "😀")[0], tokenizer.eos_token_id
    top = tuple(TopToken(id=id, text="", logprob=-1.0) for id in (a, space, half, end))
    answer = AnswerText(tokenizer, ())
    [first] = answer.add(TokenRecord(id=a, text="", logprob=-1.0, top=top))
    [second] = answer.add(TokenRecord(id=b, text="", logprob=-1.0, top=top))
    assert [one.text for one in first.top] == ["a", "", UNKNOWN, ""]
    assert [one.text for one in second.top] == ["a", " ", UNKNOWN, ""]
    assert [one.id for one in second.top] == [a, space, half, end]

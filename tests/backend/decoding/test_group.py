"""Rows that decode together: each equals itself alone, and without MemVR the plain model."""

import asyncio
import time

import pytest
import torch
from hooked import attached
from rows import EAGER
from torch.nn.functional import log_softmax
from waiting import together as begun_together

from memvr_integrations.backend import Image
from memvr_integrations.errors import GenerationError, RequestError
from memvr_integrations.memvr import MemVRConfig

PICKY = MemVRConfig(starting_layer=1, ending_layer=6, entropy_threshold=0.8, retracing_ratio=0.1)


def same(one, other):
    assert one.text == other.text
    assert one.finish_reason == other.finish_reason
    assert one.usage == other.usage
    assert one.memvr == other.memvr
    assert [t.id for t in one.tokens] == [t.id for t in other.tokens]
    assert [t.trigger_layer for t in one.tokens] == [t.trigger_layer for t in other.tokens]
    for mine, theirs in zip(one.tokens, other.tokens, strict=True):
        assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-4)
        assert mine.entropy == pytest.approx(theirs.entropy, abs=1e-4)


def test_each_of_mixed_rows_equals_the_request_alone(fresh, ask, endless):
    requests = [
        ask("Describe the picture.", 0, max_tokens=14, memvr=EAGER),
        ask("Describe the picture.", 0, max_tokens=14, memvr=None),
        ask(
            "Is there a dog in the picture, or a cat, or even a cow?", 1, max_tokens=9, memvr=PICKY
        ),
        ask("Hello, who are you?", max_tokens=6),
        ask("Compare.", 2, 3, max_tokens=11, memvr=EAGER),
        ask("How many?", 4, max_tokens=1, memvr=EAGER),
        ask("Which?", 5, max_tokens=8, temperature=1.3, seed=9, memvr=EAGER),
        ask("Which?", 5, max_tokens=8, temperature=0.9, top_k=5, repetition_penalty=1.4, seed=2),
    ]
    with endless(fresh) as passes:
        together = fresh.generate(requests)
        # The answer of one token is complete before the first step.
        assert (fresh.steps, max(passes.rows)) == (13, 7)
        alone = [fresh.generate(request)[0] for request in requests]
    for one, other in zip(together, alone, strict=True):
        same(one, other)
    assert [answer.usage.completion_tokens for answer in together] == [14, 14, 9, 6, 11, 1, 8, 8]
    assert any(answer.retraced for answer in together)  # else the test would show nothing
    assert together[0].tokens != together[1].tokens


def test_a_finished_row_does_not_change_the_others(fresh, ask):
    requests = [ask("Describe the picture.", n, max_tokens=2 + 5 * n) for n in range(4)]
    for one, request in zip(fresh.generate(requests), requests, strict=True):
        same(one, fresh.generate(request)[0])


def inputs_of(backend, loaded, scene, question):
    from PIL import Image

    conversation = [
        {
            "role": "user",
            "content": [
                {"type": "image", "image": Image.fromarray(scene.pixels)},
                {"type": "text", "text": question},
            ],
        }
    ]
    return loaded.processor.apply_chat_template(
        conversation, tokenize=True, return_dict=True, return_tensors="pt",
        add_generation_prompt=True,
    )  # fmt: skip


@pytest.mark.parametrize("number", [0, 3])
def test_off_is_plain_generate(make_backend, loaded, ask, scenes, endless, number):
    backend = make_backend()
    inputs = inputs_of(backend, loaded, scenes[number], "Describe the picture.")
    with endless(backend):
        plain = loaded.model.generate(**inputs, max_new_tokens=20, do_sample=False)
        [answer] = backend.generate(ask("Describe the picture.", number, memvr=None, max_tokens=20))
    length = inputs["input_ids"].shape[1]
    assert [token.id for token in answer.tokens] == plain[0, length:].tolist()
    assert answer.usage.prompt_tokens == length
    assert answer.usage.image_tokens == 64
    assert answer.memvr is None
    assert all(token.entropy is None and token.trigger_layer is None for token in answer.tokens)


@pytest.mark.parametrize("options", [{}, {"temperature": 2.0, "top_k": 3, "seed": 5}])
def test_logprobs_are_those_of_a_plain_forward(backend, loaded, ask, scenes, options):
    [answer] = backend.generate(
        ask("Describe the picture.", 1, memvr=None, max_tokens=12, **options)
    )
    inputs = inputs_of(backend, loaded, scenes[1], "Describe the picture.")
    chosen = torch.tensor([[token.id for token in answer.tokens]])
    ids = torch.cat([inputs["input_ids"], chosen], dim=1)
    with torch.no_grad():
        logits = loaded.model(input_ids=ids, pixel_values=inputs["pixel_values"]).logits
    before = logits[0, inputs["input_ids"].shape[1] - 1 : -1]
    expected = log_softmax(before, -1).gather(1, chosen[0, :, None])[:, 0]
    assert [token.logprob for token in answer.tokens] == pytest.approx(expected.tolist(), abs=1e-4)


def test_with_memvr_every_token_has_its_entropy(backend, ask):
    [answer] = backend.generate(ask("Describe the picture.", 0, memvr=EAGER, max_tokens=8))
    assert answer.memvr == EAGER
    for token in answer.tokens:
        assert 0 <= token.entropy <= 1
        assert token.trigger_layer is None or token.entropy > EAGER.entropy_threshold
        assert token.trigger_layer is None or 1 < token.trigger_layer < 5


def test_true_means_the_preset_and_false_means_off(backend, ask):
    on, off = backend.generate([ask("What?", 0, memvr=True), ask("What?", 0, memvr=False)])
    assert (on.memvr, off.memvr) == (backend.preset, None)


def test_without_an_image_memvr_has_nothing_to_look_at(backend, ask):
    [answer] = backend.generate(ask("What?", memvr=EAGER, max_tokens=3))
    assert answer.memvr is None
    assert answer.usage.image_tokens == 0
    assert all(token.entropy is None for token in answer.tokens)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_prompt_tokens_are_exact(backend, loaded, ask, count):
    [answer] = backend.generate(ask("What is it?", *range(count), max_tokens=1))
    pictures = ["<image>\n", "the second: <image>\n", "the third: <image>\n"][:count]
    prompt = f"<s>USER: {''.join(pictures)}What is it? ASSISTANT:"
    ids = loaded.processor.tokenizer(prompt, add_special_tokens=False).input_ids
    assert answer.usage.prompt_tokens == len(ids) + 63 * count
    assert answer.usage.image_tokens == 64 * count


def test_the_end_token_ends_and_is_counted(backend, ask, scripted, ids_of):
    ids = ids_of(" A dog.")
    with scripted(backend, ids):
        [answer] = backend.generate(ask(max_tokens=50, memvr=None))
    assert (answer.text, answer.finish_reason) == ("A dog.", "stop")
    assert [token.id for token in answer.tokens] == [*ids, 2]
    assert answer.tokens[-1].text == ""
    assert answer.usage.completion_tokens == len(ids) + 1


def test_max_tokens_ends_with_length(backend, ask, endless):
    with endless(backend):
        [answer] = backend.generate(ask(max_tokens=7))
    assert (answer.finish_reason, answer.usage.completion_tokens) == ("length", 7)


def test_the_context_ends_an_answer_too(backend, ask, endless):
    with endless(backend):
        [answer] = backend.generate(ask("dog " * 1990, max_tokens=5000))
    usage = answer.usage
    assert (answer.finish_reason, usage.total_tokens) == ("length", 2048)


@pytest.mark.parametrize(
    ("stop", "text", "reason"),
    [
        (["picture"], "There is a dog in the ", "stop"),
        (["nowhere", "a dog in"], "There is ", "stop"),
        (["There"], "", "stop"),
        (["picture. And"], "There is a dog in the picture.", "stop"),
        ("dog", "There is a ", "stop"),
    ],
)
def test_stop_strings_trim_the_answer(backend, ask, scripted, ids_of, stop, text, reason):
    with scripted(backend, ids_of(" There is a dog in the picture.")):
        chunks = list(backend.stream(ask(stop=stop, memvr=None)))
    answer = chunks[-1].completion
    assert (answer.text, answer.finish_reason) == (text, reason)
    assert "".join(chunk.text for chunk in chunks) == text
    assert answer.usage.completion_tokens == len(answer.tokens)


def test_a_stop_string_stops_the_computing(make_backend, ask, ids_of, scripted, endless):
    backend = make_backend()
    with scripted(backend, ids_of(" a b c") * 30), endless(backend) as passes:
        backend.generate(ask(stop="b", max_tokens=90))
    assert passes.forwards < 6


def test_emoji_are_streamed_whole(backend, ask, scripted, ids_of):
    text = "Look: 😀漢字é!"
    with scripted(backend, ids_of(" " + text)):
        chunks = list(backend.stream(ask(memvr=None)))
    assert "".join(chunk.text for chunk in chunks) == text
    assert not any("\ufffd" in chunk.text for chunk in chunks)


def test_a_seed_repeats_in_any_company(fresh, ask):
    seeded = ask("Describe the picture.", 0, temperature=1.5, seed=21, max_tokens=10)
    [alone] = fresh.generate(seeded)
    others = [ask(f"Number {n}?", temperature=2.0, max_tokens=5 + n) for n in range(3)]
    crowd = fresh.generate([*others, seeded, ask("Again?", 1, seed=21, temperature=1.5)])
    assert [t.id for t in crowd[3].tokens] == [t.id for t in alone.tokens]


def test_the_generation_settings_of_a_checkpoint_stay_out(make_backend, ask, loaded, monkeypatch):
    backend = make_backend()
    [before] = backend.generate(ask("Is there a cow?", 0, max_tokens=8))
    while backend.busy:  # the last token is given before the model is let go
        time.sleep(0.001)
    settings = loaded.model.generation_config
    monkeypatch.setattr(settings, "min_new_tokens", 8)
    monkeypatch.setattr(settings, "no_repeat_ngram_size", 1)
    monkeypatch.setattr(settings, "forced_eos_token_id", 2)
    [after] = backend.generate(ask("Is there a cow?", 0, max_tokens=8))
    assert [token.id for token in after.tokens] == [token.id for token in before.tokens]
    backend.close()
    assert loaded.model.generation_config is settings


def test_shuffled_retraces_other_pictures(fresh, ask, scenes, endless):
    shuffled = EAGER.changed({"control": "shuffled"})

    def asked(config, number, *others):
        evidence = [Image(scenes[other].pixels) for other in others]
        return ask("Describe it.", number, memvr=config, evidence=evidence, max_tokens=8)

    with endless(fresh):
        own = fresh.generate(asked(EAGER, 1))[0]
        together = fresh.generate(
            [asked(shuffled, 1, 1), asked(shuffled, 1, 2), asked(shuffled, 1, 3, 4)]
        )
        assert fresh.steps == 7 + 7
        alone = fresh.generate(asked(shuffled, 1, 3, 4))[0]
    assert [t.logprob for t in together[0].tokens] == pytest.approx(
        [t.logprob for t in own.tokens], abs=1e-4
    )
    assert together[1].tokens[0].output_entropy != own.tokens[0].output_entropy
    same(together[2], alone)
    assert together[1].retraced


@pytest.mark.parametrize(("config", "others"), [(EAGER, [2]), (None, [2]), ("shuffled", [])])
def test_evidence_and_its_control_come_together(ask, scenes, config, others):
    evidence = [Image(scenes[other].pixels) for other in others]
    memvr = {"control": config} if config == "shuffled" else config
    with pytest.raises(RequestError, match="control='shuffled' needs other images"):
        ask("What?", 0, memvr=memvr, evidence=evidence)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 1.0, "seed": 3, "n": 2},
        {"max_tokens": 20, "response_format": {"type": "boolean"}},
        {"decoding": "vcd"},
        {"decoding": "opera", "memvr": None},
    ],
)
def test_numbers_that_are_none_are_reported(make_backend, ask, number, options):
    backend = make_backend()

    def spoil(module, args, out):
        out.logits[0, ..., 7] = number
        return out

    request = ask("A dog?", 0, **{"max_tokens": 3} | options)
    with attached(backend, spoil), pytest.raises(GenerationError, match=r"\(NaN, .*float32"):
        backend.generate(request)
    assert backend.generate(request)[0].tokens


async def test_a_damaged_row_leaves_the_row_beside_it_alone(fresh, ask, endless):
    requests = [ask(max_tokens=3, temperature=1.0, seed=seed) for seed in (1, 2)]
    with endless(fresh):
        [alone] = fresh.generate(requests[1])

        def spoil(module, args, out):
            if len(out.logits) > 1:
                out.logits[0] = float("nan")
            return out

        with begun_together(fresh, rows=2), attached(fresh, spoil):
            damaged, sound = await asyncio.gather(
                *(fresh.agenerate(request) for request in requests), return_exceptions=True
            )
    assert isinstance(damaged, GenerationError)
    same(sound[0], alone)

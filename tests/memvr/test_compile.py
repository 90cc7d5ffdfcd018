"""The sync-free form compiles to one graph, and a graph never outlives the arming that made it."""

import pytest
import torch
import transformers
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig
from transformers.generation import CompileConfig

from memvr_integrations.errors import UnsupportedModelError
from memvr_integrations.memvr import MemVRConfig, retracing

TOKENS = 4
CONFIG = MemVRConfig(starting_layer=-1, ending_layer=2, entropy_threshold=0.9, retracing_ratio=0.4)


@pytest.fixture
def model():
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=14,
        patch_size=7,
    )
    text = LlamaConfig(
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        vocab_size=64,
        pad_token_id=0,
    )
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=63, image_seq_length=4
    )
    model = transformers.LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for weight in [*model.model.language_model.parameters(), model.lm_head.weight]:
            if weight.ndim == 2:
                weight.normal_(0, 0.3)
    model.generation_config.eos_token_id = None
    yield model
    torch._dynamo.reset()


def inputs(seed=0):
    random = torch.Generator().manual_seed(seed)
    words = torch.randint(3, 60, (2, 5), generator=random)
    ids = torch.cat([torch.full((2, 4), 63), words], 1)
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.randn(2, 3, 14, 14, generator=random),
    }


def run(model, config, given, *, compiled, **options):
    if compiled:
        compile_config = CompileConfig(fullgraph=True, backend="eager", mode=None)
        compile_config._compile_all_devices = True
        options |= {"compile_config": compile_config}
    with retracing(model, config, sync_free=True, keep_where=True) as trace:
        out = model.generate(
            **given,
            cache_implementation="static",
            max_new_tokens=TOKENS,
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
            **options,
        )
    return torch.stack(out.logits, 1), trace.steps


def assert_same_steps(one, two):
    assert len(one) == len(two) == TOKENS
    for step, other in zip(one, two, strict=True):
        for row, same in zip(step.rows, other.rows, strict=True):
            assert row.trigger_layer == same.trigger_layer
            assert row.entropies == pytest.approx(same.entropies, abs=1e-5)
            assert (row.where is None) == (same.where is None)


def graphs():
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


def test_decoding_is_one_graph_that_serves_only_its_own_arming(model):
    other = MemVRConfig(starting_layer=0, ending_layer=2, entropy_threshold=0.0)
    eager = {
        name: run(model, config, inputs(seed), compiled=False)
        for name, config, seed in (("a", CONFIG, 0), ("b", CONFIG, 1), ("c", other, 0))
    }
    plain, _ = run(model, None, inputs(), compiled=False)

    def check(name, config, seed):
        logits, steps = run(model, config, inputs(seed), compiled=True)
        torch.testing.assert_close(logits, eager[name][0], rtol=0, atol=1e-4)
        assert_same_steps(steps, eager[name][1])

    check("a", CONFIG, 0)
    triggered = {row.trigger_layer for step in eager["a"][1] for row in step.rows}
    assert len(triggered) > 1
    assert graphs() == 1
    assert not torch._dynamo.utils.counters["graph_break"]
    check("b", CONFIG, 1)
    assert graphs() == 1
    # Plain in between, then another window, then the first one again: no graph is mistaken.
    logits, _ = run(model, None, inputs(), compiled=True)
    torch.testing.assert_close(logits, plain, rtol=0, atol=1e-4)
    check("c", other, 0)
    check("b", CONFIG, 1)
    assert not torch._dynamo.utils.counters["graph_break"]


def test_the_waiting_form_is_not_compiled(model):
    compile_config = CompileConfig(backend="eager", mode=None)
    compile_config._compile_all_devices = True
    with retracing(model, CONFIG):
        model.generate(
            **inputs(),
            generation_config=transformers.GenerationConfig(
                max_new_tokens=3, cache_implementation="static", compile_config=compile_config
            ),
        )
    assert graphs() == 0


def test_a_forward_compiled_before_arming_is_noticed(model):
    given = {"input_ids": torch.tensor([[3, 4, 5]])}
    model.forward = torch.compile(model.forward, backend="eager")
    with torch.no_grad():
        model(**given)
        with (
            retracing(model, CONFIG),
            pytest.raises(UnsupportedModelError, match="compiled before it was armed"),
        ):
            model(**given)

import pytest
import torch
from memvr_models import tiny_llava
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from memvr_integrations.errors import UnsupportedModelError
from memvr_integrations.memvr import MemVRConfig, retracing
from memvr_integrations.memvr.arming.anatomy import find_anatomy
from memvr_integrations.memvr.arming.magnitude import up_magnitude


def test_the_parts_of_a_model():
    model = tiny_llava()
    anatomy = find_anatomy(model)
    assert anatomy.decoder is model.model.language_model
    assert anatomy.head is model.lm_head
    assert anatomy.vision is model.model
    assert anatomy.ffns[3] is model.model.language_model.layers[3].mlp
    assert anatomy.image_token_id == 511
    assert anatomy.softcap is None


def text_model():
    config = LlamaConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2, vocab_size=9
    )
    return LlamaForCausalLM(config)


class Without(nn.Module):
    """The tiny model less one part."""

    def __init__(self, part):
        super().__init__()
        whole = tiny_llava()
        self.decoder = nn.Module()
        layers = whole.model.language_model.layers[:2]
        bare = nn.ModuleList([nn.Module(), nn.Module()])
        if part != "layers":
            self.decoder.layers = bare if part == "mlp" else nn.ModuleList(layers)
        if part != "norm":
            self.decoder.norm = whole.model.language_model.norm
        self.head = None if part == "head" else whole.lm_head
        self.config = None if part == "image_token_id" else whole.config
        if part != "get_image_features":
            self.get_image_features = whole.model.get_image_features

    def get_decoder(self):
        return self.decoder

    def get_output_embeddings(self):
        return self.head


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("layers", "has no decoder layers that can be found in Module"),
        ("mlp", "has no `.mlp` in its decoder layer 0"),
        ("norm", "has no final norm"),
        ("head", "has no language-model head"),
        ("get_image_features", "has no `get_image_features`"),
        ("image_token_id", "has no `config.image_token_id`"),
    ],
)
def test_a_missing_part_is_named(part, reason):
    with pytest.raises(UnsupportedModelError) as caught:
        find_anatomy(Without(part))
    assert reason in str(caught.value)
    assert str(caught.value).endswith("Pass memvr=None to run it plain.")


def test_models_without_images_or_decoders_are_refused():
    with pytest.raises(UnsupportedModelError, match="LlamaForCausalLM has no `get_image_features`"):
        find_anatomy(text_model())
    with (
        pytest.raises(UnsupportedModelError, match="Linear has no decoder layers"),
        retracing(nn.Linear(2, 2), MemVRConfig()),
    ):
        pass


def ffn(**weights):
    made = nn.Module()
    for name, weight in weights.items():
        made.register_module(name, nn.Linear(2, 2, bias=False))
        getattr(made, name).weight = nn.Parameter(weight)
    return made


def test_the_up_projection_counts_and_a_fused_one_whole():
    small, large = torch.full((2, 2), -1.0), torch.full((2, 2), 3.0)
    assert up_magnitude(ffn(gate_proj=large, up_proj=small, down_proj=large)) == 1
    assert up_magnitude(ffn(gate_up_proj=torch.cat([small, large]), down_proj=large)) == 2
    experts = nn.Module()
    experts.experts = nn.Module()
    experts.experts.gate_up_proj = nn.Parameter(torch.full((3, 2, 4), -5.0))
    assert up_magnitude(experts) == 5


def test_new_weights_are_noticed():
    one = ffn(up_proj=torch.ones(2, 2))
    assert up_magnitude(one) == 1
    with torch.no_grad():
        one.up_proj.weight.mul_(4)
    assert up_magnitude(one) == 4
    one.up_proj.weight = nn.Parameter(torch.full((2, 2), 7.0))
    assert up_magnitude(one) == 7


class Packed(nn.Module):
    """Like a quantised layer: the weight is bytes, the product is right."""

    def __init__(self, weight):
        super().__init__()
        self.in_features = weight.shape[1]
        self.dense = weight
        self.weight = nn.Parameter(torch.zeros(3, dtype=torch.uint8), requires_grad=False)

    def forward(self, x):
        return x.float() @ self.dense.T + 100


def test_packed_weights_are_read_through_the_product():
    weight = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    packed = nn.Module()
    packed.up_proj = Packed(weight)
    torch.testing.assert_close(up_magnitude(packed), weight.abs().mean(), rtol=0, atol=1e-4)


def test_an_ffn_without_up_projection():
    with pytest.raises(UnsupportedModelError, match="Set activation=None"):
        up_magnitude(nn.Module())

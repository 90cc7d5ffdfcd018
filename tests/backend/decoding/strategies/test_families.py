"""Decoding strategies on every family: neutral ones are greedy, rows equal themselves alone."""

import pytest
import torch
from families import FAMILIES
from PIL import Image as Pillow
from tiny_family import LAYERS

from memvr_integrations.backend import Backend, Request, SamplingParams
from memvr_integrations.errors import UnsupportedModelError
from memvr_integrations.memvr import MemVRConfig
from memvr_integrations.types.decoding import (
    DoLaConfig,
    ICDConfig,
    OPERAConfig,
    RudderConfig,
    VCDConfig,
)

ALWAYS = MemVRConfig(
    starting_layer=0, ending_layer=LAYERS - 1, entropy_threshold=0.0, retracing_ratio=0.5
)
PAIRS = {
    "vcd": (VCDConfig(alpha=0, beta=0), VCDConfig()),
    "icd": (ICDConfig(alpha=0, beta=0), ICDConfig()),
    "dola": (DoLaConfig(alpha=0, beta=0), DoLaConfig(alpha=2, layers=(0, 2, 3))),
    "rudder": (RudderConfig(strength=0, layer=3), RudderConfig(strength=3, layer=3)),
}
# One for each way in which decoders and caches differ; all go through `test_backend_families`.
FEW = ("llava", "qwen3_vl", "glm4v", "gemma3", "smolvlm", "mistral3", "qwen3_5", "qwen3_vl_moe")
# Their caches forget (Mistral's default window, Gemma's) or keep sums (Qwen3.5's).
FORGETFUL = (
    "aya_vision", "gemma3", "gemma4", "llava_next", "mistral3", "pixtral", "qwen3_5",
)  # fmt: skip

TOKENS = 3

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module", params=FEW)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def backend(name, tmp_path_factory):
    folder = FAMILIES[name].save(name, tmp_path_factory.mktemp(name))
    with Backend.load(folder, device="cpu", progress=False, prefix_bytes=0) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def plain(backend):
    return [answer.tokens for answer in backend.generate(requests(None))]


def picture(seed, size):
    pixels = torch.randint(0, 256, (*size, 3), generator=torch.Generator().manual_seed(seed))
    return Pillow.fromarray(pixels.to(torch.uint8).numpy())


def requests(decoding):
    square, wide = picture(0, (60, 60)), picture(1, (30, 60))
    asked = [("What is it?", square), ("Is there a dog or perhaps a cow?", wide, square)]
    return [
        Request.ask(
            *one, sampling=SamplingParams(max_tokens=TOKENS), memvr=memvr, decoding=decoding
        )
        for one, memvr in zip(asked, (ALWAYS, None), strict=True)
    ]


@pytest.mark.parametrize("kind", PAIRS)
def test_it_works_on_this_family(backend, name, plain, kind):
    neutral, strong = PAIRS[kind]
    assert [a.tokens for a in backend.generate(requests(neutral))] == plain
    together = backend.generate(requests(strong))
    # A contrast enlarges how batches round: more than elsewhere where layers keep sums.
    near = 1e-3 if name == "qwen3_5" else 1e-4
    assert [a.tokens for a in together] != plain
    for one, request in zip(together, requests(strong), strict=True):
        [alone] = backend.generate(request)
        assert [token.id for token in alone.tokens] == [token.id for token in one.tokens]
        logprobs = [token.logprob for token in one.tokens]
        assert [token.logprob for token in alone.tokens] == pytest.approx(logprobs, abs=near)


def test_a_search_of_one_beam_is_greedy(backend, name):
    [plain] = backend.generate([requests(None)[1]])
    search = requests(OPERAConfig(beams=1, candidates=1, weight=0))[1]
    if name in FORGETFUL:
        with pytest.raises(
            UnsupportedModelError, match=r"can't take tokens back|no self-attention"
        ):
            backend.generate(search)
    else:
        assert backend.generate(search)[0].tokens == plain.tokens
        wide = requests(OPERAConfig(beams=2, candidates=2))[1]
        assert len(backend.generate(wide)[0].tokens) == TOKENS


def test_layers_without_attention_cannot_be_steered(backend, name):
    if name != "qwen3_5":
        pytest.skip("all layers of the others have it")
    with pytest.raises(UnsupportedModelError, match="no self-attention"):
        backend.generate(requests(RudderConfig(layer=0))[:1])

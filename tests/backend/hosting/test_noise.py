import pytest
import torch

from memvr_integrations.backend.hosting.noise import Noise, kept_share


def test_the_schedule_ends_in_noise_and_begins_with_the_picture():
    kept = [kept_share(step) for step in (0, 100, 500, 999)]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == pytest.approx(1 - 1e-5 - 0.005 / (1 + 403.43), rel=1e-4)
    assert kept[-1] < 0.1


def test_noise_repeats_and_keeps_the_variance():
    pixels = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(1))
    noise = Noise(step=500, seed=7)
    assert torch.equal(noise.on(pixels, "a"), noise.on(pixels, "a"))
    assert not torch.equal(noise.on(pixels, "a"), noise.on(pixels, "b"))
    assert not torch.equal(noise.on(pixels, "a"), Noise(step=500, seed=8).on(pixels, "a"))
    assert float(noise.on(pixels, "a").std()) == pytest.approx(1, abs=0.05)


def test_noise_keeps_the_type():
    assert Noise(step=10, seed=0).on(torch.zeros(2, dtype=torch.float16), "a").dtype == (
        torch.float16
    )

"""The art of training: what it may see, and what drawing anew must keep."""

import io
import random
import tarfile

import numpy as np
import pytest
from bundled_model.art import icons as art
from bundled_model.art import symbols_and_3d as art_more
from bundled_model.art.degrade import KINDS, degrade
from bundled_model.art.render import write_sprites
from bundled_model.art.restyle import restyle
from PIL import Image

from memvr_integrations.bundled.world import SPRITES, Sprites
from memvr_integrations.errors import ConfigError


@pytest.mark.parametrize("kind", KINDS)
def test_stronger_is_worse_and_the_same_noise_is_the_same(kind):
    smooth = np.zeros((128, 128, 3), np.uint8)
    smooth[32:96, 32:96] = (200, 30, 30)

    def damage(strength):
        worse = degrade(smooth, kind, strength, np.random.default_rng(1))
        assert worse.shape == smooth.shape
        assert worse.dtype == np.uint8
        return np.abs(worse.astype(int) - smooth).mean()

    assert 0 < damage(0.0) < damage(1.0)
    assert damage(0.5) == damage(0.5)


def test_training_never_sees_the_held_out_styles():
    assert not (art.SHIPPED.keys() | art.MORE.keys()) & art.HELD_OUT.keys()
    assert not set((art.SHIPPED | art.MORE).values()) & set(art.HELD_OUT.values())


def test_pictures_in_3d_are_found_by_their_code_points(tmp_path):
    picture = io.BytesIO()
    Image.new("RGBA", (8, 8), (9, 9, 9, 255)).save(picture, "PNG")
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("package/assets/2708-fe0f.webp")
        member.size = len(picture.getvalue())
        archive.addfile(member, io.BytesIO(picture.getvalue()))
    with tarfile.open(tmp_path / "a.tgz") as archive:
        codes = {"airplane|airplane": "2708", "cow|cow": "1f404"}
        sprites = art_more.solid(archive, codes)
    assert set(sprites) == {"solid|airplane|airplane"}
    assert sprites["solid|airplane|airplane"].shape == (96, 96, 4)


def test_a_file_of_sprites_keeps_every_pixel(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 4), np.uint8)
    noise[:48, :, 3] = 0  # transparent, with colours all the same
    write_sprites(tmp_path / "own.npz", {"own|cow|cow": noise})
    read = Sprites(tmp_path / "own.npz").pick("cow", random.Random(0))
    np.testing.assert_array_equal(np.asarray(read), noise)


@pytest.mark.parametrize("content", [{"own|cow|cow": np.zeros((4, 4, 4), np.uint8)}, {"cow": [1]}])
def test_what_is_no_file_of_sprites_is_refused(tmp_path, content):
    np.savez(tmp_path / "own.npz", **content)
    with pytest.raises(ConfigError, match=r"own.npz is no file of sprites .*art\.render"):
        Sprites(tmp_path / "own.npz")
    (tmp_path / "text.npz").write_text("PK, but no archive")
    with pytest.raises(ConfigError, match=r"text\.npz is no file of sprites"):
        Sprites(tmp_path / "text.npz")


ART = Sprites(SPRITES)


def drawn(seed):
    rng = random.Random(seed)
    art = ART.pick("horse", rng)
    return np.asarray(art), np.asarray(restyle(art, rng))


def test_the_same_seed_draws_the_same():
    for seed in range(10):
        assert np.array_equal(drawn(seed)[1], drawn(seed)[1])


def test_the_thing_stays_where_it_was():
    """Bent and outlined, but no other shape: the masks overlap."""
    for seed in range(25):
        before, after = (pixels[..., 3] > 90 for pixels in drawn(seed))
        assert (before & after).sum() / (before | after).sum() > 0.6


def test_a_sprite_is_left_as_it_was():
    art = ART.pick("cup", random.Random(1))
    before = art.tobytes()
    for seed in range(20):
        restyle(art, random.Random(seed))
    assert art.tobytes() == before

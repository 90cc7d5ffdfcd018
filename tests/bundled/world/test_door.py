import pytest

from memvr_integrations.bundled import world


def test_every_name_of_the_door_opens():
    assert world.__all__
    assert all(getattr(world, name) is not None for name in world.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Sprite'"):
        world.Sprite  # noqa: B018

"""The soaks at their full size: minutes to hours, with `-m soak`."""

import hostile_pictures
import image_collections
import pytest
import schemas
import stopped_files


@pytest.mark.soak
@pytest.mark.parametrize("module", [hostile_pictures, image_collections, schemas, stopped_files])
def test_nothing_is_wrong(module):
    assert not module.soak().wrong

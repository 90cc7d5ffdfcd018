import random
import re

import pytest
from bundled_model.conversations.synonyms import SYNONYMS, renamed

from memvr_integrations.bundled.world.words import CLASSES, HELD_OUT_STRANGERS, STRANGERS, plural


def test_another_name_means_one_class_and_nothing_else():
    others = [other for names in SYNONYMS.values() for other in names]
    assert set(SYNONYMS) <= set(CLASSES)
    assert len(set(others)) == len(others)
    taken = {*CLASSES, *map(plural, CLASSES), *STRANGERS, *HELD_OUT_STRANGERS}
    assert not taken & set(others)


@pytest.mark.parametrize(("question", "said"), [
    ("Is there an umbrella here?", "Is there a parasol here?"),
    ("Truck?", "Lorry?"),
    ("How many loaves of bread are there?", "How many loaves are there?"),
    ("Are there any gifts?", "Are there any (presents|parcels)?"),
    ("Do you see rabbits?", "Do you see (bunnies|hares)?"),
    ("Do you see horses?", "Do you see (ponies|mares)?"),
    ("How many airplanes?", "How many (planes|jets|aeroplanes|aircraft)?"),
    ("Is there a fork?", "Is there a fork?"),
    ("Is there a fork and a cup?", "Is there a fork and a mug?"),
])  # fmt: skip
def test_one_thing_gets_another_name(question, said):
    pattern = said.replace("?", r"\?")
    for seed in range(8):
        assert re.fullmatch(pattern, renamed(question, random.Random(seed)))

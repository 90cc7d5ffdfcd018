import pytest
import torch
from bundled_model.training import marking, slots
from bundled_model.training.marking import marks
from bundled_model.training.model import build_model
from bundled_model.training.packing import Packer
from bundled_model.training.stages.joint import Talker
from bundled_settings import FIRST_THEMES

from memvr_integrations.bundled.world.scenes import SPRITES


def test_an_answer_is_marked_as_its_own_kind_wherever_it_lies_in_the_slots(monkeypatch):
    """A model that has everything right but JSON fails in JSON alone."""
    packer = Packer()
    brace = packer.encode(' {"scene"')[1]

    def all_but_json(llava, packer, features, packed: slots.Slots):
        targets = packed.labels[:, 1:][packed.labels[:, 1:] >= 0]
        said = torch.where(targets == brace, 0, targets)
        return torch.nn.functional.one_hot(said, 1024).float(), targets, targets

    monkeypatch.setattr(marking, "answer_logits", all_but_json)
    model = Talker(build_model(layers=1, width=32, heads=2)).eval()
    found = marks(model, packer, SPRITES, FIRST_THEMES, "new ")
    assert found.pop("new json") == pytest.approx(0)
    assert found.pop("new adversarial") == 1
    assert len(found) > 8
    assert set(found.values()) == {1}

import random

import torch

from memvr_integrations.bundled.model import build_model
from memvr_integrations.bundled.packing import Packer
from memvr_integrations.bundled.questions import NO_IMAGE, Turn


def test_conversations_in_a_row_do_not_see_each_other():
    packer = Packer()
    turns = [Turn("Is there a cow?", "No"), Turn("Is there a cup?", NO_IMAGE, blind=True)]
    row = packer.row(turns, random.Random(0))
    *_, mask = packer.pack([row])
    seen = mask[0, 0] == 0
    prefix = packer.prefix
    segments = torch.tensor(row.segments)
    first = (segments == 1).nonzero().flatten() + prefix
    blind = (segments == -2).nonzero().flatten() + prefix
    assert seen[first][:, :prefix].all()  # the image
    assert not seen[blind][:, :prefix].any()
    assert not seen[blind][:, first].any()
    assert not seen[first][:, blind].any()
    assert torch.equal(seen, seen & torch.ones_like(seen).tril())  # nobody sees the future


def test_a_packed_conversation_is_computed_as_if_alone():
    packer = Packer()
    turns = [Turn("Is there a cow?", "No"), Turn("How many cups are there?", "Two.")]
    trainer = build_model(layers=2, width=32, heads=2).eval()
    embed, lm = trainer.get_input_embeddings(), trainer.model.language_model
    shared = torch.randn(1, packer.prefix, 32, generator=torch.Generator().manual_seed(0))

    def hidden(row):
        ids, _, positions, mask = packer.pack([row])
        with torch.inference_mode():
            out = lm(
                inputs_embeds=torch.cat([shared, embed(ids)], 1),
                attention_mask=mask,
                position_ids=positions,
                use_cache=False,
            )
        return out.last_hidden_state[0, packer.prefix :]

    apart = random.Random(2)
    assert apart.random() >= 0.2  # this seed doesn't make one conversation of the two
    both = packer.row(turns, random.Random(2))
    assert max(both.segments) == 2
    alone = packer.row(turns[1:], random.Random(2))
    assert torch.allclose(hidden(both)[-len(alone.ids) :], hidden(alone), atol=1e-5)

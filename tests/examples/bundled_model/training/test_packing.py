import torch
from bundled_model.conversations.asker import Talk
from bundled_model.conversations.questions import NO_IMAGE, Turn
from bundled_model.training import slots
from bundled_model.training.model import build_model
from bundled_model.training.packing import Packer

COW = Talk(turns=(Turn("Is there a cow?", "No"),))
CUPS = Talk(turns=(Turn("How many cups are there?", "Two."),))
BLIND = Talk(turns=(Turn("Is there a cup?", NO_IMAGE, blind=True),), pictures=0)


def test_conversations_in_a_row_do_not_see_each_other():
    packer = Packer()
    packed = slots.in_slots(packer, [packer.row_of([COW, BLIND])])
    assert packed.mask.shape[1] == 1  # both in one slot
    seen = packed.mask[0, 0] == 0
    seen_prefix, seen_text = seen[:, : packer.prefix], seen[:, packer.prefix :]
    sighted, blind = packed.segments[0] == 1, packed.segments[0] == -2
    assert seen_prefix[sighted].all()  # the image
    assert not seen_prefix[blind].any()
    assert not seen_text[blind][:, sighted].any()
    assert not seen_text[sighted][:, blind].any()
    assert torch.equal(seen_text, seen_text.tril())  # nobody sees the future


def test_a_packed_conversation_is_computed_as_if_alone():
    packer = Packer()
    model = build_model(layers=2, width=32, heads=2).eval()
    embed, lm = model.get_input_embeddings(), model.model.language_model
    lm.set_attn_implementation(slots.NAME)
    shared = torch.randn(1, packer.prefix, 32, generator=torch.Generator().manual_seed(0))

    def hidden(talks, segment):
        packed = slots.in_slots(packer, [packer.row_of(talks)])
        with torch.inference_mode():
            out = lm(
                inputs_embeds=torch.cat([shared, embed(packed.ids)], 1),
                attention_mask=packed.mask,
                position_ids=packed.positions,
                use_cache=False,
            )
        return out.last_hidden_state[0, packer.prefix :][packed.segments[0] == segment]

    alone = hidden([CUPS], 1)
    assert len(alone)
    assert torch.allclose(hidden([COW, CUPS], 2), alone, atol=1e-5)

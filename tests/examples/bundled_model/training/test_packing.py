"""Packed rows: who sees whom, and that packing changes nothing that is computed."""

import torch
from bundled_model.conversations.asker import Talk
from bundled_model.conversations.questions import NO_IMAGE, Turn
from bundled_model.training import slot_attention
from bundled_model.training.model import build_model
from bundled_model.training.packing import Packer

COW = Talk(turns=(Turn("Is there a cow?", "No"),))


CUPS = Talk(turns=(Turn("How many cups are there?", "Two."),))


BLIND = Talk(turns=(Turn("Is there a cup?", NO_IMAGE, blind=True),), pictures=0)


def test_conversations_in_a_row_do_not_see_each_other():
    packer = Packer()
    packed = slot_attention.in_slots(packer, [packer.row_of([COW, BLIND])])
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
    lm.set_attn_implementation(slot_attention.NAME)
    shared = torch.randn(1, packer.prefix, 32, generator=torch.Generator().manual_seed(0))

    def hidden(talks, segment):
        packed = slot_attention.in_slots(packer, [packer.row_of(talks)])
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


TALKS = [
    Talk(
        turns=(Turn("Is there a cow?", "No"), Turn("And a dog?", "Yes, there is a dog.")), same_as=1
    ),
    Talk(turns=(Turn("Is there a cup?", NO_IMAGE, blind=True),), pictures=0),
    *[Talk(turns=(Turn("How many cups are there?", "There are two cups."),))] * 5,
]


def full_mask(packer, rows, longest):
    """What a row's tokens may see, in one mask to add (batch, 1, all, all)."""
    segments = torch.tensor(
        [
            [0] * packer.prefix
            + row.segments
            + [slot_attention.PADDING] * (longest - len(row.segments))
            for row in rows
        ]
    )
    query, key = segments[:, :, None], segments[:, None, :]
    seen = (query == key) | ((key == 0) & (query > 0))
    seen &= torch.ones(segments.shape[1], segments.shape[1]).tril().bool()
    return torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None]


def test_a_row_in_slots_is_computed_as_the_row_with_a_full_mask():
    packer = Packer()
    rows = [packer.row_of(TALKS), packer.row_of(TALKS[:2])]
    torch.manual_seed(0)
    model = build_model(layers=2, width=32, heads=2).eval()
    shared = torch.randn(2, packer.prefix, 32, generator=torch.Generator().manual_seed(0))
    lm, embed = model.model.language_model, model.get_input_embeddings()

    def hidden(ids, positions, mask):
        with torch.inference_mode():
            return lm(
                inputs_embeds=torch.cat([shared, embed(ids)], 1),
                attention_mask=mask,
                position_ids=positions,
                use_cache=False,
            ).last_hidden_state[:, packer.prefix :]

    ids, labels, positions = packer.tensors(rows)
    mask = full_mask(packer, rows, ids.shape[1])
    whole = hidden(ids, positions, mask)
    packed = slot_attention.in_slots(packer, rows, shortest=48)
    assert packed.mask.shape[1] > 1
    lm.set_attn_implementation(slot_attention.NAME)
    apart = hidden(packed.ids, packed.positions, packed.mask)
    for row in range(2):
        want = whole[row][labels[row] >= 0].sum(0)  # slots change the order of conversations
        got = apart[row][packed.labels[row] >= 0].sum(0)
        assert torch.allclose(want, got, atol=1e-3)


def test_slots_hold_whole_conversations():
    packer = Packer()
    row = packer.row_of(TALKS)
    packed = slot_attention.in_slots(packer, [row], shortest=32)
    assert sorted(packed.ids[0][packed.ids[0] > 0].tolist()) == sorted(row.ids)
    assert int((packed.same > 0).sum()) == 2  # one for each turn of the first conversation


def test_cropped_rows_are_even_and_whole():
    packer = Packer()
    rows = [packer.row_of(TALKS * 3), packer.row_of(TALKS), packer.row_of(TALKS)]
    loose = slot_attention.in_slots(packer, rows, shortest=48)
    cropped = slot_attention.in_slots(packer, rows, shortest=48, cropped=True)
    assert cropped.mask.shape[1] < loose.mask.shape[1]
    for row, segments in zip(rows, cropped.segments.tolist(), strict=True):
        for segment in set(segments) & set(row.segments):
            assert segments.count(segment) == row.segments.count(segment)

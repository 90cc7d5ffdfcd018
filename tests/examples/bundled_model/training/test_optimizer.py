import pytest
import torch
from bundled_model.training.optimizer import MuonAdamW, orthogonalize


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32])
def test_singular_values_come_near_one(kind):
    torch.manual_seed(0)
    for shape in ((32, 16), (16, 48)):
        values = torch.linalg.svdvals(orthogonalize(torch.randn(shape), kind))
        assert values.min() > 0.5
        assert values.max() < 1.3


def test_both_kinds_of_parameters_go_downhill_and_shares_are_kept():
    torch.manual_seed(0)
    matrix, gentle, vector = (torch.nn.Parameter(torch.ones(s)) for s in ((4, 4), (4, 4), (4,)))
    optimizer = MuonAdamW([matrix, gentle], [vector], shares=[1.0, 0.1], weight_decay=0.0)
    (matrix.square().sum() + gentle.square().sum() + vector.square().sum()).backward()
    optimizer.step(0.1)
    moved = [float((1 - value.detach()).abs().mean()) for value in (matrix, gentle, vector)]
    assert all(distance > 0 for distance in moved)
    assert abs(moved[0] / moved[1] - 10) < 0.1


def test_a_saved_state_goes_on_alike():
    def make():
        torch.manual_seed(1)
        return torch.nn.Parameter(torch.randn(6, 3)), torch.nn.Parameter(torch.randn(3))

    def steps(pair, optimizer, count):
        for _ in range(count):
            (pair[0].sin().sum() + pair[1].square().sum()).backward()
            optimizer.step(0.01)
            for value in pair:
                value.grad = None

    whole = make()
    steps(whole, MuonAdamW([whole[0]], [whole[1]]), 4)
    part = make()
    first = MuonAdamW([part[0]], [part[1]])
    steps(part, first, 2)
    second = MuonAdamW([part[0]], [part[1]])
    second.load_state_dict(first.state_dict())
    steps(part, second, 2)
    assert all(torch.allclose(one, other) for one, other in zip(whole, part, strict=True))

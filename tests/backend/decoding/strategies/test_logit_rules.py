import math

import torch

from memvr_integrations.backend.decoding.strategies.logit_rules import contrast, keep_plausible

INF = math.inf


def test_a_contrast_leaves_alone_what_one_side_rules_out():
    own = torch.tensor([[1.0, -INF, 3.0, 4.0]])
    other = torch.tensor([[2.0, 5.0, -INF]])
    assert contrast(own, other, 2.0, 1.0).tolist() == [[0.0, -INF, 3.0, 4.0]]


def test_damage_on_either_side_shows():
    own, other = torch.tensor([[1.0, math.nan, 3.0]]), torch.tensor([[math.nan, 1.0, 1.0]])
    assert contrast(own, other, 2.0, 1.0).isnan().tolist() == [[True, True, False]]


def test_a_larger_vocabulary_of_the_other_is_cut():
    own, other = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 1.0, 9.0]])
    assert contrast(own, other, 1.0, 1.0).tolist() == [[0.0, 1.0]]


def test_the_likeliest_stays_plausible():
    own = torch.tensor([[0.0, math.log(0.5), math.log(0.05)], [0.0, 0.0, 1.0]])
    scores = torch.ones(2, 3)
    assert keep_plausible(scores, own, 0.1).tolist() == [[1, 1, -INF], [1, 1, 1]]
    assert keep_plausible(scores, own, 1.0).tolist() == [[1, -INF, -INF], [-INF, -INF, 1]]
    assert keep_plausible(scores, own, 0.0) is scores

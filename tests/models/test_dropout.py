"""Dropout: its rate, its scale, its independence, and where it stands in the random stream."""

import pytest
import torch

from fae.models.layers.dropout import Dropout

VALUES = torch.ones(1000, 1024)


def dropped(probability: float, seed: int = 0) -> torch.Tensor:
    """Which of the values are dropped."""
    torch.manual_seed(seed)
    values: torch.Tensor = Dropout(probability)(VALUES)
    return values == 0


@pytest.mark.parametrize("probability", [0.1, 0.25, 0.5, 0.9, 1 / 65536])
def test_the_rate_is_the_probability(probability: float) -> None:
    """Within four standard deviations of a binomial count."""
    count = int(dropped(probability).sum())
    n = VALUES.numel()
    assert abs(count - n * probability) < 4 * (n * probability * (1 - probability)) ** 0.5 + 1


def test_each_lane_of_a_number_has_the_rate() -> None:
    lanes = dropped(0.1).view(-1, 4).double().mean(dim=0)
    torch.testing.assert_close(lanes, torch.full((4,), 0.1).double(), rtol=0, atol=4 * 0.3 / 506)


def test_the_rest_is_scaled_up_so_that_the_mean_stays() -> None:
    torch.manual_seed(0)
    values = Dropout(0.25)(VALUES)
    assert values.unique().tolist() == [0, pytest.approx(4 / 3)]
    assert values.mean().item() == pytest.approx(1, abs=0.003)


def test_neighbours_and_steps_are_independent() -> None:
    first, second = dropped(0.5, seed=1).double(), dropped(0.5, seed=2).double()
    for ours, theirs in (
        (first, second),
        (first[:, :-1], first[:, 1:]),
        (first[:, :-4], first[:, 4:]),
        (first[:-1], first[1:]),
    ):
        correlation = torch.corrcoef(torch.stack([ours.flatten(), theirs.flatten()]))[0, 1]
        assert abs(correlation) < 0.004


def test_it_depends_on_torchs_generator_alone() -> None:
    assert torch.equal(dropped(0.3, seed=5), dropped(0.3, seed=5))
    assert not torch.equal(dropped(0.3, seed=5), dropped(0.3, seed=6))


def test_gradients_pass_where_values_do() -> None:
    values = VALUES.clone().requires_grad_()
    out = Dropout(0.5)(values)
    out.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, out.detach())


def test_in_evaluation_and_at_zero_it_does_nothing() -> None:
    assert Dropout(0.5).eval()(VALUES) is VALUES
    assert Dropout(0.0)(VALUES) is VALUES


@pytest.mark.parametrize("probability", [1 - 1e-6, 1.0, 1.5, 2**-17, 1e-6, -0.1])
def test_a_probability_that_would_be_another_one_is_refused(probability: float) -> None:
    with pytest.raises(ValueError, match=rf"^probability={probability}: must be 0, or 1/65536 to"):
        Dropout(probability)


def test_the_least_and_the_greatest_probability() -> None:
    assert Dropout(1 / 65536).dropped == 1
    torch.manual_seed(0)
    values = Dropout(65535 / 65536)(VALUES)
    assert values.unique().tolist() == [0, 65536]


def test_any_shape_and_precision() -> None:
    values = torch.ones(3, 5, dtype=torch.bfloat16)
    out = Dropout(0.5)(values)
    assert (out.shape, out.dtype) == (values.shape, values.dtype)

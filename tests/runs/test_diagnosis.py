"""What curves say, on curves that are known."""

import pytest

from fae.runs.diagnosis import Diagnosis, diagnose


def curves(val: list[float], gap: float = 0.0) -> list[dict[str, float]]:
    return [{"train/mse": v / (1 + gap), "val/mse": v} for v in val]


FALLING = [0.99**epoch for epoch in range(20)]
FLAT = [2.0, 1.5, 1.2, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]


def test_a_curve_that_falls_by_1_percent_an_epoch_has_not_converged() -> None:
    found = diagnose(curves(FALLING))
    assert found.slope == pytest.approx(-0.01)
    assert found.converged is False
    assert found.words() == ["still falling at the last epoch, by 1.0 % per epoch"]


def test_a_flat_end_has_converged() -> None:
    found = diagnose(curves(FLAT))
    assert found.slope == pytest.approx(0, abs=1e-12)
    assert found.converged is True
    assert (found.best_epoch, found.epochs) == (4, 9)
    assert found.words() == ["converged", "best epoch is 4 of 9"]


@pytest.mark.parametrize(("share", "converged"), [(0.0011, False), (0.0009, True)])
def test_a_fall_of_a_thousandth_an_epoch_is_the_border(share: float, converged: bool) -> None:
    assert diagnose(curves([(1 - share) ** e for e in range(8)])).converged is converged


def test_a_curve_that_rises_has_not_converged() -> None:
    found = diagnose(curves([1.0, 0.2, *(0.2 * 1.05**epoch for epoch in range(8))]))
    assert found.slope == pytest.approx(0.05)
    assert (found.converged, found.diverged) == (False, False)
    assert found.words()[0] == "still rising at the last epoch, by 5.0 % per epoch"


def test_two_epochs_are_too_few_to_tell() -> None:
    found = diagnose(curves([2.0, 1.0]))
    assert found.converged is None
    assert found.words() == ["2 epochs are too few to tell whether it converged"]


def test_an_end_above_the_first_epoch_has_diverged() -> None:
    found = diagnose(curves([1.0, 0.5, 0.4, 3.0]))
    assert found.diverged
    assert found.converged is False
    assert found.words() == ["diverged: ends above its first epoch", "best epoch is 3 of 4"]


@pytest.mark.parametrize(("gap", "overfitted"), [(0.051, True), (0.049, False), (-0.2, False)])
def test_validation_5_percent_above_training_is_over_fitting(gap: float, overfitted: bool) -> None:
    found = diagnose(curves(FLAT, gap))
    assert found.gap == pytest.approx(gap)
    assert found.largest_gap == pytest.approx(abs(gap))
    assert found.overfitted is overfitted


def test_the_largest_gap_may_lie_in_the_middle() -> None:
    epochs = curves([1.0, 1.0, 1.0])
    epochs[1]["train/mse"] = 2.0
    assert diagnose(epochs).largest_gap == 0.5


def test_tags_can_be_filtered_by() -> None:
    found = Diagnosis(30, 29, -0.02, 0.06, 0.07, diverged=False, dead=3)
    assert found.tags() == {
        "fae.converged": "false",
        "fae.diverged": "false",
        "fae.overfitted": "true",
        "fae.best_epoch": "29 of 30",
        "fae.curves": "still falling at the last epoch, by 2.0 % per epoch; overfitting: "
        "validation 6.0 % above training; best epoch is 29 of 30; 3 dead hidden units",
    }

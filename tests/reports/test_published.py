"""The paper's numbers on the real data; minutes long, so outside the default run."""

from pathlib import Path

import pytest
from conftest import NO_LOCAL

from fae.cli.compose import compose
from fae.reports import published
from fae.runs.job import Job
from fae.runs.run import train

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("hidden", published.RESULTS)
@pytest.mark.usefixtures("fashion_mnist")
def test_the_default_reproduces_the_papers_test_error(
    hidden: int, store_uri: str, tmp_path: Path
) -> None:
    """Within 3 % with the default seed, and training and validation almost identical."""
    config = compose(NO_LOCAL, f"hidden={hidden}", f"tracking.uri='{store_uri}'")
    result = train(config, Job(f"hidden={hidden}", tmp_path, ""))
    assert result.metrics["test/mse"] == pytest.approx(published.RESULTS[hidden].test_mse, rel=0.03)
    assert result.metrics["val/mse"] == pytest.approx(result.metrics["train/mse"], rel=0.02)


@pytest.mark.usefixtures("fashion_mnist")
def test_bfloat16_reaches_the_same_error(store_uri: str, tmp_path: Path) -> None:
    """Within 1 % of single precision at n = 64."""

    def error(precision: str) -> float:
        config = compose(NO_LOCAL, f"tracking.uri='{store_uri}'", f"trainer.precision={precision}")
        (tmp_path / precision).mkdir()
        return train(config, Job(precision, tmp_path / precision, "")).metrics["test/mse"]

    assert error("bf16-mixed") == pytest.approx(error("32-true"), rel=0.01)

"""PCA against a direct eigen-decomposition."""

from pathlib import Path

import numpy as np
import pytest

from fae.cli.compose import compose
from fae.data.images import split_at_random
from fae.data.pca import pca_errors
from fae.data.synthetic.config import SyntheticConfig


@pytest.fixture
def config() -> SyntheticConfig:
    config = compose("local=none", "data=synthetic", "data.train=300", "batch_size=1").data
    assert isinstance(config, SyntheticConfig)
    return config


def test_the_errors_are_those_of_the_leading_eigenvectors(
    config: SyntheticConfig, tmp_path: Path
) -> None:
    data_set = config.build()
    training, _ = split_at_random(data_set.training(), 300, 500, config.split_seed)
    train = training.pixels.numpy() / np.float32(255)
    test = data_set.test().pixels.numpy() / np.float32(255)
    mean = train.mean(axis=0, dtype=np.float64)
    _, vectors = np.linalg.eigh(np.cov(train.T.astype(np.float64)))
    errors = pca_errors(data_set, config, tmp_path)
    assert errors.shape == (65,)
    for n in (0, 1, 5, 30):
        leading = vectors[:, ::-1][:, :n]
        reconstructed = mean + (test - mean) @ leading @ leading.T
        assert errors[n] == pytest.approx(np.square(test - reconstructed).mean(), rel=1e-6)
    assert errors[64] == 0


def test_they_are_computed_once(config: SyntheticConfig, tmp_path: Path) -> None:
    data_set = config.build()
    errors = pca_errors(data_set, config, tmp_path)
    (kept,) = tmp_path.iterdir()
    assert data_set.digest in kept.name
    np.save(kept, errors + 1)
    np.testing.assert_array_equal(pca_errors(data_set, config, tmp_path), errors + 1)
    kept.write_bytes(b"")
    np.testing.assert_array_equal(pca_errors(data_set, config, tmp_path), errors)
    np.testing.assert_array_equal(np.load(kept), errors)


def test_a_cache_that_cannot_be_written_is_done_without(
    config: SyntheticConfig, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    errors = pca_errors(config.build(), config, tmp_path / "file")
    np.testing.assert_array_equal(errors, pca_errors(config.build(), config, tmp_path))

"""PCA against a direct eigen-decomposition."""

from pathlib import Path

import numpy as np
import pytest

from fae.cli.compose import compose
from fae.data import incremental_pca
from fae.data.components import linear_errors, pca_reconstructions
from fae.data.images import split_at_random
from fae.data.incremental_pca import is_exact
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


@pytest.fixture
def incremental(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if 64 pixels were many."""
    monkeypatch.setattr(incremental_pca, "EXACT", 63)


def test_up_to_4096_values_pca_is_exact(config: SyntheticConfig, tmp_path: Path) -> None:
    assert is_exact(3 * 32 * 32)
    assert is_exact(64 * 64)
    assert not is_exact(3 * 64 * 64)
    data_set = config.build()
    errors = linear_errors(data_set, config, 4, tmp_path)
    np.testing.assert_array_equal(errors, pca_errors(data_set, config, tmp_path / "other"))


@pytest.mark.usefixtures("incremental")
def test_incremental_pca_is_nearly_as_good_as_exact_pca(
    config: SyntheticConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In parts of 40 of 300 images. On test images either may have the lower error."""
    monkeypatch.setattr(incremental_pca, "CHUNK_SIZE", 40)
    data_set = config.build()
    errors = linear_errors(data_set, config, 30, tmp_path)
    assert errors.shape == (31,)
    exact = pca_errors(data_set, config, tmp_path)[:31]
    assert errors[0] == pytest.approx(exact[0], rel=1e-6)
    np.testing.assert_allclose(errors, exact, rtol=0.02)
    assert not np.allclose(errors[1:], exact[1:], rtol=1e-6)
    assert (np.diff(errors) <= 0).all()


@pytest.mark.usefixtures("incremental")
def test_in_one_part_incremental_pca_is_exact(config: SyntheticConfig, tmp_path: Path) -> None:
    data_set = config.build()
    exact = pca_errors(data_set, config, tmp_path)
    errors = linear_errors(data_set, config, 50, tmp_path)
    np.testing.assert_allclose(errors[:20], exact[:20], rtol=1e-3)


@pytest.mark.usefixtures("incremental")
def test_there_are_no_more_components_than_images(tmp_path: Path) -> None:
    few = compose("local=none", "data=synthetic", "data.train=20", "batch_size=1").data
    assert len(linear_errors(few.build(), few, 50, tmp_path)) == 21


@pytest.mark.usefixtures("incremental")
def test_reconstructions_have_the_errors_that_are_told(
    config: SyntheticConfig, tmp_path: Path
) -> None:
    """And are made of the components that were found for these."""
    data_set = config.build()
    errors = linear_errors(data_set, config, 12, tmp_path)
    (kept,) = tmp_path.iterdir()
    images = data_set.test().as_floats().pixels.numpy()
    made = pca_reconstructions(data_set, config, images, [3, 12], tmp_path)
    assert [*tmp_path.iterdir()] == [kept]
    for n, shown in made.items():
        assert np.square(shown - images).mean() == pytest.approx(errors[n], rel=1e-4)

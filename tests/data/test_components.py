"""Reconstructions by principal components have the errors that are told of PCA."""

from pathlib import Path

import numpy as np
import pytest

from fae.cli.compose import compose
from fae.data import components
from fae.data.components import pca_codes, pca_reconstructions
from fae.data.images import DataSet
from fae.data.pca import pca_errors


def test_they_have_the_errors_of_pca_and_are_fitted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose("local=none", "data=synthetic", "data.train=300", "batch_size=1").data
    data_set: DataSet = config.build()
    images = data_set.test().as_floats().pixels.numpy()
    counts = [0, 1, 5, 64]
    found = pca_reconstructions(data_set, config, images, counts, tmp_path)
    errors = [np.square(images - found[n]).mean() for n in counts]
    assert errors == pytest.approx(pca_errors(data_set, config, tmp_path)[counts], abs=1e-6)
    monkeypatch.setattr(components, "principal_components", None)
    again = pca_reconstructions(data_set, config, images, counts, tmp_path)
    assert all((again[n] == found[n]).all() for n in counts)


def test_a_damaged_cache_is_replaced(tmp_path: Path) -> None:
    config = compose("local=none", "data=synthetic", "data.train=300", "batch_size=1").data
    data_set: DataSet = config.build()
    images = data_set.test().as_floats().pixels.numpy()
    found = pca_reconstructions(data_set, config, images, [3], tmp_path)
    (cached,) = tmp_path.iterdir()
    whole = cached.read_bytes()
    cached.write_bytes(whole[:100])
    assert (pca_reconstructions(data_set, config, images, [3], tmp_path)[3] == found[3]).all()
    assert cached.read_bytes() == whole


def test_codes_are_coordinates_along_the_components(tmp_path: Path) -> None:
    config = compose("local=none", "data=synthetic", "data.train=300", "batch_size=1").data
    data_set: DataSet = config.build()
    images = data_set.test()
    (codes,) = pca_codes(data_set, config, [images], 5, tmp_path)
    fitted = np.load(next(tmp_path.iterdir()))
    floats = images.as_floats().pixels.numpy()
    (known,) = pca_reconstructions(data_set, config, floats, [5], tmp_path).values()
    assert codes.shape == (len(images), 5)
    np.testing.assert_allclose(fitted[0] + codes @ fitted[1:6], known, atol=1e-5)
    (fewer, all_of_them) = pca_codes(data_set, config, [images[:3], images[:3]], 100, tmp_path)
    assert fewer.shape == all_of_them.shape == (3, 64)

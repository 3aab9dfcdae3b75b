"""Images that do not fit into memory are refused."""

import pytest
from conftest import NO_LOCAL

from fae.cli.compose import compose
from fae.data import memory
from fae.data.memory import check_memory
from fae.errors import ConfigError


def test_images_must_fit_twice_into_the_memory_that_is_available(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = compose(NO_LOCAL, "data=cifar10").data
    needed = 2 * 50_000 * 3072
    monkeypatch.setattr(memory, "available", lambda: needed)
    check_memory(config)
    check_memory(compose(NO_LOCAL, "data=cifar10", "data.grey=true").data)
    monkeypatch.setattr(memory, "available", lambda: needed - 1)
    with pytest.raises(
        ConfigError,
        match=r"^data=cifar10: 50000 images of 3072 values take 0\.3 GB of memory while they are "
        r"split, of which 0\.3 GB are available; use fewer or smaller images",
    ):
        check_memory(config)

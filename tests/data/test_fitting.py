"""Images that do not fit into memory are refused."""

import pytest
from conftest import NO_LOCAL

from fae.cli.compose import compose
from fae.data import memory
from fae.data.memory import check_memory
from fae.errors import ConfigError


def test_images_and_what_an_evaluation_holds_must_fit_into_the_memory_that_is_available(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = compose(NO_LOCAL, "data=cifar10").data
    needed = (3 * 50_000 + 8 * 1000) * 3072
    monkeypatch.setattr(memory, "available", lambda: needed)
    check_memory(config)
    check_memory(compose(NO_LOCAL, "data=cifar10", "data.grey=true").data)
    monkeypatch.setattr(memory, "available", lambda: needed - 1)
    with pytest.raises(
        ConfigError,
        match=r"^data=cifar10: 50000 images of 3072 values take 0\.5 GB of memory, of which "
        r"0\.5 GB are available; use fewer or smaller images",
    ):
        check_memory(config)

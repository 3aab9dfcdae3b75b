"""Checks of a search's space against the configuration of its trials."""

from collections.abc import Callable
from typing import Any

import pytest
from conftest import NO_LOCAL

from fae.cli.overrides import without
from fae.config import Config
from fae.errors import ConfigError
from fae.tuning.check import SEARCH_ONLY, check_space
from fae.tuning.space import Dimension, Range, SearchConfig

Tiny = Callable[..., Config]
LR = Range(key="lr", low=0.1, high=1)


def settings(*space: Dimension, **others: Any) -> SearchConfig:
    default = {"timeout": None, "sampler": "tpe", "pruner": "none", "name": None, "storage": None}
    return SearchConfig(space=space, trials=5, repeats=2, **{**default, **others})


@pytest.mark.parametrize("prefix", ["", "+", "++", "~"])
def test_a_key_that_varies_cannot_be_given_whatever_the_prefix(tiny: Tiny, prefix: str) -> None:
    given = [f"{prefix}lr=0.5"]
    with pytest.raises(ConfigError) as refused:
        check_space(tiny(), settings(LR), given)
    assert (
        f"{prefix}lr=0.5: search.space.lr varies it; leave out one of the two"
        in refused.value.problems
    )


def test_a_space_that_trials_can_have_is_accepted(tiny: Tiny) -> None:
    check_space(tiny(), settings(LR), [NO_LOCAL, "experiment=smoke", "++hidden=4"])


def test_what_is_for_the_search_is_not_for_its_trials() -> None:
    given = ["+search.space.dropout=[0,0.1]", "~search.space.lr", "search=adam", "hydra.verbose=1"]
    assert without([*given, "++hidden=4"], *SEARCH_ONLY) == ["++hidden=4"]

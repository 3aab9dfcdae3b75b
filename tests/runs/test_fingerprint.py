"""Fingerprints: equal for equal results, also those of runs that earlier versions stored."""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import NO_LOCAL, PROJECT
from mlflow import MlflowClient
from pydantic.dataclasses import dataclass

import fae.runs.fingerprint as module
from fae.cli.compose import compose
from fae.config import Config, fingerprint_fields
from fae.data.synthetic.config import SyntheticConfig
from fae.runs.build import build
from fae.runs.fingerprint import fingerprint, former
from fae.runs.job import Job
from fae.runs.run import train
from fae.runtime.fields import STRICT, Count
from fae.training.trainer import build_trainer

PACKAGE = PROJECT / "fae"
LIGHT = {
    "fae.errors",
    "fae.config",
    "fae.data.catalogue",
    "fae.data.config",
    "fae.data.digits.config",
    "fae.data.fashion_mnist.config",
    "fae.data.fashion_mnist.files",
    "fae.data.synthetic.config",
    "fae.models.catalogue",
    "fae.models.config",
    "fae.runtime.catalogue",
    "fae.runtime.fields",
    "fae.runtime.processor",
    "fae.training.config",
    "fae.training.metrics",
}
"""Settings, which count by their values, what checks them, what the machine is, and files, whose
digest counts.
"""


def composed(*overrides: str) -> Config:
    return compose(NO_LOCAL, *overrides)


def test_it_changes_with_what_determines_the_result_only(monkeypatch: pytest.MonkeyPatch) -> None:
    same = composed("tracking.experiment=other", "data.root=/elsewhere", "repeats=3")
    others = composed("seed=1"), composed("lr=0.1"), composed("data=digits", "batch_size=100")
    assert fingerprint(composed()) == fingerprint(same)
    assert len({fingerprint(config) for config in (composed(), *others)}) == 4
    before = fingerprint(composed())
    monkeypatch.setattr("fae.data.fashion_mnist.images.FashionMNIST.digest", "other")
    assert fingerprint(composed()) != before


@dataclass(frozen=True, kw_only=True, config=STRICT)
class WithAKeyMore(SyntheticConfig):
    blur: Count | None = None


def test_a_key_at_its_default_does_not_count() -> None:
    config = composed("data=synthetic")
    more = WithAKeyMore(**vars(config.data))
    with_more = replace(config, data=more)
    assert fingerprint_fields(with_more) == fingerprint_fields(config)
    other = replace(config, data=replace(more, blur=2))
    assert fingerprint_fields(other) == {**fingerprint_fields(config), "data.blur": 2}


def test_what_does_not_compute_does_not_count() -> None:
    source = """
    '''A module.'''
    import this
    from typing import TYPE_CHECKING
    if TYPE_CHECKING:
        from that import other
    @dataclass(frozen=True)
    class Settings:
        key: int
        '''What it means.'''
        def value(self):
            from late import it  # why
            return it(self.key)
    """
    bare = module._bare("\n".join(line[4:] for line in source.splitlines()))
    wanted = """
    @dataclass(frozen=True)
    class Settings:

        def value(self):
            return it(self.key)
    """
    assert bare.split() == "\n".join(line[4:] for line in wanted.splitlines()).split()


def counted(config: Config) -> set[str]:
    """The modules of fae whose code counts for a configuration."""
    files = [file for pattern in module.SHARED for file in PACKAGE.glob(pattern)]
    files += [module._file(type(config.data.build())), *module._folder(type(config.model))]
    named = {".".join(file.relative_to(PROJECT).with_suffix("").parts) for file in files}
    return named | {type(config.optimizer).__module__}


def imports(name: str) -> set[str]:
    """The modules of fae that a module imports, but for types."""
    path = PROJECT.joinpath(*name.split("."))
    file = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    found = set()
    source = re.sub(r"(?m)^if TYPE_CHECKING:\n((    .*)?\n)+", "", file.read_text())
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("fae"):
            for name in (f"{node.module}.{alias.name}" for alias in node.names):
                is_module = PROJECT.joinpath(*name.split(".")).with_suffix(".py").exists()
                found.add(name if is_module else node.module)
    return found


@pytest.mark.parametrize(
    "overrides", [[], ["data=digits", "batch_size=100"], ["data=synthetic", "model=deep"]]
)
def test_it_covers_all_that_training_imports(overrides: list[str]) -> None:
    """Whatever training reaches counts, by its code or by the values of its settings."""
    config = composed(*overrides)
    found = counted(config)
    reached: set[str] = set()
    new = {"fae.runs.build", "fae.training.trainer", *found}
    while new:
        reached |= new
        new = {name for known in new - LIGHT for name in imports(known)} - reached
    assert reached - LIGHT == found


NAMES = (
    "activations assembly components data dropout initialisation learner linear loss metrics "
    "network optimizer randomness sources stopping threads trainer"
)
SHIMS = {
    "config": "from fae.config import *\nfrom fae.data.config import *\n"
    "from fae.data.digits.config import NON_TEST as DIGITS, DigitsConfig\n"
    "from fae.data.catalogue import FashionMNISTConfig, SyntheticConfig\n"
    "from fae.models.config import *\nfrom fae.models.dense.config import *\n"
    "from fae.training.config import *\nfrom fae.training.optimizers import *\n",
    "errors": "from fae.errors import *\n",
    "fashion_mnist": "from fae.data.fashion_mnist.files import *\n",
}


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A package ``before`` with the training of the version before the rooms."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "before").mkdir()
    code = dict(zip(NAMES.split(), module._code_before_rooms(), strict=True))
    for name, source in {**code, **SHIMS}.items():
        # A body that was a docstring is empty.
        source = re.sub(r"(?m)^( *)(def|class) (.*):$(?!\n+\1 )", r"\1\2 \3: ...", source)
        if name in code:
            source = source.replace("from fae", "from before")
        (folder / "before" / f"{name}.py").write_text(source)
    sys.path.insert(0, str(folder))
    yield "before"
    sys.path.remove(str(folder))


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["optimizer=adam", "optimizer.schedule=one_cycle", "dropout=0.25"],
        ["model=deep", "model.widths=[9]"],
        ["model.initialisation=pca", "model.hidden_activation=identity"],
    ],
)
def test_what_was_trained_before_the_rooms_has_the_same_bits(
    overrides: list[str], before: str, tmp_path: Path
) -> None:
    """So that its fingerprint still counts."""
    config = composed("experiment=smoke", "hidden=4", "epochs=2", *overrides)

    def fitted(learner: Any, data: Any, build_trainer: Any) -> dict[str, torch.Tensor]:
        trainer = build_trainer(config.trainer, epochs=2, folder=tmp_path, callbacks=[])
        trainer.fit(learner, data)
        weights: dict[str, torch.Tensor] = learner.state_dict()
        return weights

    old = {name: import_module(f"{before}.{name}") for name in ("assembly", "sources", "trainer")}
    source = old["sources"].build_source(config.data)
    data, learner = old["assembly"].build(config, source)
    then = fitted(learner, data, old["trainer"].build_trainer)
    new_data, new_learner = build(config, config.data.build())
    now = fitted(new_learner, new_data, build_trainer)
    assert now.keys() == then.keys()
    assert all(torch.equal(now[name], then[name]) for name in now)
    assert fingerprint(config) != former(config)


def test_the_code_that_trains_is_the_one_that_gave_the_same_bits() -> None:
    assert module.own_code() == module.SAME_BITS, (
        "the code that trains has changed: if the tests above still find the same bits, let "
        f"SAME_BITS be {module.own_code()!r}; else remove former() and all that calls it"
    )


def test_once_the_code_that_trains_has_changed_earlier_runs_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SAME_BITS", "other")
    assert former(composed()) is None


def test_a_run_that_was_stored_before_the_rooms_still_counts(
    tiny: Callable[..., Config], client: MlflowClient, tmp_path: Path
) -> None:
    config = tiny("tracking.experiment=former", "epochs=1")
    for name in ("first", "again", "anew"):
        (tmp_path / name).mkdir()
    first = train(config, Job("first", tmp_path / "first", ""))
    client.set_tag(first.run_id, "fae.fingerprint", former(config))
    again = train(config, Job("again", tmp_path / "again", ""))
    assert (again.run_id, again.was_done) == (first.run_id, True)
    client.set_tag(first.run_id, "fae.fingerprint", "other")
    anew = train(config, Job("anew", tmp_path / "anew", ""))
    assert anew.run_id != first.run_id

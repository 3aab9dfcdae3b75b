"""Fingerprints: equal for equal results."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import NO_LOCAL, PROJECT
from pydantic.dataclasses import dataclass

import fae.runs.fingerprint as module
from fae.cli.compose import compose
from fae.config import Config, fingerprint_fields
from fae.data.synthetic.config import SyntheticConfig
from fae.runs.fingerprint import fingerprint
from fae.runtime.digest import short_digest
from fae.runtime.fields import STRICT, Count

PACKAGE = PROJECT / "fae"
LIGHT = {
    "fae.errors",
    "fae.config",
    "fae.data.catalogue",
    "fae.data.cifar10.batches",
    "fae.data.cifar10.config",
    "fae.data.cifar10.files",
    "fae.data.config",
    "fae.data.digits.config",
    "fae.data.shape",
    "fae.data.fashion_mnist.config",
    "fae.data.fashion_mnist.files",
    "fae.data.mnist.config",
    "fae.data.mnist.files",
    "fae.data.published",
    "fae.data.synthetic.config",
    "fae.models.catalogue",
    "fae.models.config",
    "fae.models.kernels",
    "fae.runtime.catalogue",
    "fae.runtime.digest",
    "fae.runtime.fields",
    "fae.runtime.processor",
    "fae.training.config",
    "fae.training.metrics",
}
"""Settings, which count by their values, what checks them, what the machine is and which kernels it
takes, and files, whose digest counts.
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
class WithAFolder(SyntheticConfig):
    folder: Path


def test_a_path_among_the_settings_counts() -> None:
    config = composed("data=synthetic", "batch_size=100")
    first, second = (
        replace(config, data=WithAFolder(**vars(config.data), folder=Path(name))) for name in "ab"
    )
    assert fingerprint(first) != fingerprint(second)
    assert first.parameters()["data.folder"] == "a"


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


def test_the_code_of_fashion_mnist_counts_as_in_earlier_versions() -> None:
    """A change of it would make all stored runs of the paper's experiment unknown."""
    bare = module._bare_file(PACKAGE / "data/fashion_mnist/images.py")
    assert short_digest(bare) == "6f95764de1087947"


@pytest.mark.parametrize(
    ("file", "overrides"),
    [
        ("training/denoising.py", ["data.noise=0.1"]),
        ("training/overfitting.py", ["trainer.overfit=0.5", "trainer.limit_batches=1"]),
    ],
)
def test_code_that_some_runs_go_through_counts_for_these_only(
    monkeypatch: pytest.MonkeyPatch, file: str, overrides: list[str]
) -> None:
    configs = composed(), composed(*overrides)
    before = [fingerprint(config) for config in configs]
    bare = module._bare_file

    def changed(path: Path) -> str:
        return bare(path) + ("# changed" if path == PACKAGE / file else "")

    monkeypatch.setattr(module, "_bare_file", changed)
    module._fingerprint.cache_clear()
    module._bare_files.cache_clear()
    after = [fingerprint(config) for config in configs]
    module._fingerprint.cache_clear()
    module._bare_files.cache_clear()
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert PACKAGE / file in module.files(configs[1])


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
    "overrides",
    [
        *[[], ["data=mnist"], ["data=cifar10"], ["data=digits", "batch_size=100"]],
        ["data=synthetic", "model=deep"],
        *[[f"model={name}"] for name in ("tied", "variational", "convolutional")],
    ],
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

"""The fingerprint of a run: a hash of all that determines its result, and of nothing else.

These are the configuration, the images, the code that trains, and the libraries that compute.

- A key whose settings class gives it a default is left out at that default, so that a key that is
  added later changes no fingerprint. Such a default is what was so before there was the key, and
  never changes; what people vary has its value in ``conf/``.
- Of the code, what all runs share counts, and of the variants the chosen ones': the module of the
  data set, the folder of the network, the classes of the optimizer and its schedule; a user's
  package alike.
  Comments, docstrings, import lines and the fields of settings do not count.
"""

import ast
import inspect
import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fae.config import TrainingConfig, fingerprint_fields
from fae.runtime.digest import short_digest
from fae.runtime.installation import PACKAGE
from fae.training.optimizers import SCHEDULES

SHARED = (
    "data/datamodule.py",
    "data/images.py",
    "data/pca.py",
    "models/layers/*.py",
    "models/network.py",
    "runs/build.py",
    "runtime/seeding.py",
    "runtime/threads.py",
    "training/early_stopping.py",
    "training/evaluation.py",
    "training/learner.py",
    "training/trainer.py",
)
"""Code that every run goes through, below ``fae/``."""
LIBRARIES = ("numpy", "pytorch-lightning", "torch")
"""Those that compute."""
DENOISING, OVERFITTING = ("training/denoising.py",), ("training/overfitting.py",)
"""Code that runs with ``data.noise``, and with ``trainer.overfit``, go through besides."""


def fingerprint(config: TrainingConfig) -> str:
    """The fingerprint of a configuration with the images and the code that it names."""
    return _fingerprint(config, config.data.build().digest)


@cache
def _fingerprint(config: TrainingConfig, digest: str) -> str:
    """Computed once for each state of the images, which a notebook may see changed."""
    return _hash(config, fingerprint_fields(config), digest)


def fingerprint_with(config: TrainingConfig, fields: Mapping[str, Any]) -> str:
    """The fingerprint of all runs that share these fields of a configuration.

    Args:
        fields: that count, by dotted key.
    """
    return _hash(config, fields, config.data.build().digest)


def _hash(config: TrainingConfig, fields: Mapping[str, Any], digest: str) -> str:
    code = [*_bare_files(SHARED), *_variants(config)]
    versions = [version(library) for library in LIBRARIES]
    what = [fields, digest, versions, code]
    return short_digest(json.dumps(what, sort_keys=True, default=str))  # of paths, for instance


def files(config: TrainingConfig) -> list[Path]:
    """Where the code is that counts for a configuration; of some files only a part does."""
    variants = [_file(type(config.data.build())), *_folder(type(config.model))]
    shared = _matching((*SHARED, *_optional(config)))
    return [*shared, *variants, _file(type(config.optimizer))]


@cache
def _bare_files(patterns: tuple[str, ...]) -> list[str]:
    return [_bare_file(file) for file in _matching(patterns)]


def _matching(patterns: tuple[str, ...]) -> list[Path]:
    return [file for pattern in patterns for file in sorted(PACKAGE.glob(pattern))]


def _variants(config: TrainingConfig) -> list[str]:
    classes = (parent for parent in type(config.optimizer).__mro__ if parent is not object)
    schedule = SCHEDULES[config.optimizer.schedule]
    return [
        *_bare_files(_optional(config)),
        _bare_file(_file(type(config.data.build()))),
        *map(_bare_file, _folder(type(config.model))),
        *(_bare(inspect.getsource(parent)) for parent in classes),
        _bare(inspect.getsource(schedule)),
    ]


def _optional(config: TrainingConfig) -> tuple[str, ...]:
    return (
        *(DENOISING if config.data.noise else ()),
        *(OVERFITTING if config.trainer.overfit else ()),
    )


def _file(variant: type) -> Path:
    return Path(inspect.getfile(variant))


def _folder(variant: type) -> list[Path]:
    """The modules of the package that a class is in; of a module by itself, that one."""
    module = inspect.getmodule(variant)
    assert module is not None
    file = _file(variant)
    return sorted(file.parent.glob("*.py")) if module.__package__ else [file]


@cache
def _bare_file(path: Path) -> str:
    return _bare(path.read_text("utf-8"))


@cache
def _bare(source: str) -> str:
    """Python source without comments, docstrings, imports and fields of settings."""
    return ast.unparse(_Bare().visit(ast.parse(source)))


class _Bare(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
            node.body = [part for part in node.body if not isinstance(part, ast.AnnAssign)]
        return self.generic_visit(node)

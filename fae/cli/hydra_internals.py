"""The private parts of Hydra that are used here, each with its reason.

``tests/cli/test_hydra_internals.py`` fails when a release changes one. The sweepers and launchers
that extend Hydra's own import those where they are defined, as Hydra's search for plugins loads
them a second time, and would not know the first.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import hydra._internal.hydra as application
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.utils import JobReturn

__all__ = ["ConfigLoaderImpl", "ConfigRepository", "Hydra"]
# Only the loader sees what was composed before Hydra makes objects of it.


@contextmanager
def composing_by(loader: type[ConfigLoaderImpl]) -> Iterator[None]:
    """Within the block Hydra composes by another loader; it has no setting for that."""
    before = application.ConfigLoaderImpl  # type: ignore[attr-defined]
    application.ConfigLoaderImpl = loader  # type: ignore[attr-defined]
    try:
        yield
    finally:
        application.ConfigLoaderImpl = before  # type: ignore[attr-defined]


def parser() -> ArgumentParser:
    """The parser of Hydra's options."""
    return get_args_parser()


def parsed(arguments: Sequence[str]) -> Namespace:
    """Hydra's options, by whichever prefix they are given, and the overrides of a command line."""
    return parser().parse_known_args(arguments)[0]


def failure(job: JobReturn) -> BaseException:
    """What a job failed by; ``return_value`` would raise it, and print the overrides before."""
    error: BaseException = job._return_value
    return error

"""The MLflow store: the only package that knows MLflow.

``Store`` makes runs, ``Run`` is one that is being written, ``Archive`` reads what was
written. Every call names the store and the run, so runs that share a process share
nothing here.
"""

from fae.tracking.archive import Archive, StoredRun, UnreadableError, is_measured
from fae.tracking.folder import Link, LinkError, home
from fae.tracking.lock import claiming, is_alive, own
from fae.tracking.recovery import (
    close_dead,
    deliver,
    is_left,
    not_there,
    undelivered,
    unfinished_and_dead,
)
from fae.tracking.run import Run
from fae.tracking.store import Store

__all__ = [
    "Archive",
    "Link",
    "LinkError",
    "Run",
    "Store",
    "StoredRun",
    "UnreadableError",
    "claiming",
    "close_dead",
    "deliver",
    "home",
    "is_alive",
    "is_left",
    "is_measured",
    "not_there",
    "own",
    "undelivered",
    "unfinished_and_dead",
]

"""What the bits of a result may depend on besides its configuration and images: then, and now."""

import re
from collections.abc import Mapping
from dataclasses import replace

from fae.config import Config, TrainingConfig
from fae.runs import provenance
from fae.runs.fingerprint import LIBRARIES, files, fingerprint
from fae.runs.stored import TrainedRun, versions
from fae.runtime.console import in_one_line
from fae.runtime.digest import short_digest
from fae.runtime.formatting import shortened
from fae.tracking.archive import UnreadableError

Circumstances = Mapping[str, str]
"""What they are, by what a reader calls them."""

TAGS = {
    "commit": "fae.commit",
    "device": "fae.device",
    "kernels": "fae.kernels",
    "threads": "fae.threads",
    "Python": "fae.python",
}
CODE, CHANGES = "code that trains (its fingerprint)", "uncommitted changes"
UNKNOWN, ABSENT, CHANGED = "unknown", "none", "changed: "
NAMED, MOST, LONGEST = 3, 15, 200
"""Changed files that are named; differences that are told; characters of a value that are shown."""


def of_stored(run: TrainedRun) -> Circumstances:
    """Those in which a stored run was computed.

    Raises:
        UnreadableError: its list of packages is gone or damaged.
    """
    return {
        CODE: run.tags.get("fae.fingerprint", UNKNOWN),
        **{what: run.tags.get(tag, UNKNOWN) for what, tag in TAGS.items()},
        CHANGES: _stored_changes(run),
        **_deciding_first(run.packages),
    }


def of_this_process(run: TrainedRun, config: Config) -> Circumstances:
    """Those in which a stored run is computed again.

    Args:
        config: as it is computed now; that of the run may be written otherwise.
    """
    tags = provenance.tags(config)
    is_known = tags["fae.dirty"] != UNKNOWN
    return {
        CODE: _code(run, replace(run.config, data=config.data)),
        **{what: tags[tag] for what, tag in TAGS.items()},
        CHANGES: changes(provenance.uncommitted_diff()) if is_known else UNKNOWN,
        **_deciding_first(versions(provenance.installed_versions())),
    }


def _deciding_first(packages: Mapping[str, str]) -> Mapping[str, str]:
    return {library: packages.get(library, ABSENT) for library in LIBRARIES} | {**packages}


def _code(run: TrainedRun, config: TrainingConfig) -> str:
    """The fingerprint now and, where it is another, the files that were changed, if git knows."""
    found = fingerprint(config)
    if found == run.tags.get("fae.fingerprint"):
        return found
    changed = provenance.changed_since(run.tags.get("fae.commit", ""), files(config))
    return f"{found} ({CHANGED}{shortened(changed, NAMED)})" if changed else found


def _stored_changes(run: TrainedRun) -> str:
    if run.tags.get("fae.dirty") == "false":
        return ABSENT
    try:
        return changes(run.archive.text(run, "uncommitted.diff"))
    except UnreadableError:
        return UNKNOWN


def changes(diff: str) -> str:
    """The files that a patch changes, and its digest.

    Args:
        diff: as ``provenance.uncommitted_diff`` makes it.
    """
    names = re.findall(r"^(?:# new: |diff --git a/.* b/)(.+)$", diff, re.MULTILINE)
    return f"{shortened(names, NAMED)} (digest {short_digest(diff)[:8]})" if diff else ABSENT


def differences(then: Circumstances, now: Circumstances) -> list[str]:
    """What is different, one phrase each, such as ``threads: 2; now 1``.

    The fingerprints of two runs of the same configuration and images differ by the libraries that
    compute or by the code that trains, so that they tell of the code where the libraries are the
    same, or git knows of changed files.
    """
    different = [what for what in {**then, **now} if then.get(what) != now.get(what)]
    if {*LIBRARIES} & {*different} and CHANGED not in now.get(CODE, ""):
        different = [what for what in different if what != CODE]
    values = {what: [_shown(of.get(what, ABSENT)) for of in (then, now)] for what in different}
    phrases = [f"{_shown(what)}: {old}; now {new}" for what, (old, new) in values.items()]
    more = [f"and {len(phrases) - MOST} more packages"] if len(phrases) > MOST else []
    return [*phrases[:MOST], *more]


def _shown(value: str) -> str:
    return in_one_line(value)[:LONGEST]

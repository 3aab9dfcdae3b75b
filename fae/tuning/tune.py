"""A search: run the trials, then train the best configuration with fresh seeds."""

import time
from contextlib import ExitStack

from fae.analysis.champion import register_best
from fae.errors import UndeliveredError
from fae.runs import provenance
from fae.runs.begin import begin
from fae.runs.others import Others
from fae.runs.task import Known, State
from fae.runtime.console import say, warn
from fae.tracking import ui, view
from fae.tracking.archive import Archive
from fae.tracking.claim import tag_of as claim_of
from fae.tracking.recovery import close_crashed
from fae.tracking.run import Run
from fae.tracking.store import Store
from fae.tracking.view import View
from fae.tuning.conclusion import conclude, concluded
from fae.tuning.crashed import CrashedTrials
from fae.tuning.results import Outcome, SearchResult
from fae.tuning.search import Search
from fae.tuning.space import Range
from fae.tuning.trials import run_trials, wait_for_others


def tune(search: Search) -> Outcome:
    """Run the remaining trials, then test the best.

    Raises:
        StoreError: the store or the study's database cannot be used, or was lost.
        TrainingError: no trial finished.
    """
    try:
        with search.study.storage_errors():
            result = _tune(search)
    except BaseException:
        for lacking in filter(None, search.lacking):
            warn(lacking)
        raise
    archive = Archive(search.config.tracking)
    if result:
        _register(result, search, archive)
    links = ui.links(archive.uri, archive.save(_view(search))) if result else []
    return Outcome(result, [*filter(None, search.lacking)], links)


def _register(result: SearchResult, search: Search, archive: Archive) -> None:
    """Register the best of the runs with fresh seeds, if a name is given."""
    if name := search.config.tracking.register:
        try:
            say(register_best(name, archive.runs("run", ids=result.runs), archive))
        except UndeliveredError as problem:
            search.lacking.append(str(problem))


def _view(search: Search) -> View:
    study = search.study
    assert study.parent
    searched = {
        search.config.parameter_name(dimension.key): isinstance(dimension, Range) and dimension.log
        for dimension in search.settings.space
    }
    return view.of_search(study.name, view.of_parent(study.parent), searched)


def _tune(search: Search) -> SearchResult | None:
    """The result; None if another process will finish the study."""
    store, study = Store(search.config.tracking), search.study
    archive = Archive(search.config.tracking)
    if result := _finished(search, archive):
        return result
    done = len(study.finished)
    say(f"{study.name}: {study.planned} trials" + (f", {done} done" if done else ""))
    with ExitStack() as until_end:
        run = _open(search, store, archive, until_end)
        until = time.monotonic() + (search.settings.timeout or float("inf"))
        run_trials(search, archive, until)
        if run is None:
            if result := _finished(search, archive):
                return result
            run = _open_orphaned(search, store, archive, until_end)
        if run is None:
            say(f"{study.name}: no trial is left; another process will finish the study")
            return None
        is_dead = CrashedTrials(run.id, archive, search.config.tracking.silence_s)
        while wait_for_others(study, is_dead):
            run_trials(search, archive, until)  # of processes that crashed meanwhile
        result = conclude(search, run, archive)
    search.lacking.append(run.lacking)
    return result


def _finished(search: Search, archive: Archive) -> SearchResult | None:
    """The result, if the search is complete."""
    run = _known(search, archive).run
    is_over = run is not None and run.status == "FINISHED" and search.study.is_over
    return concluded(search, archive) if is_over else None


def _open(search: Search, store: Store, archive: Archive, until_end: ExitStack) -> Run | None:
    """Open the study's run until the end of this search; None if another process has it."""
    tags = provenance.tags(search.config)

    def known() -> Known:
        close_crashed(archive)
        return _known(search, archive)

    with search.study.lock:
        begun = begin(
            store,
            search.job,
            known,
            kind="study",
            subject=search.subject,
            tags=tags,
            parameters=search.fixed_parameters,
        )
        run, found = until_end.enter_context(begun)
        if run:
            search.study.parent = run.id
        elif found.run and found.run.attempts:
            search.study.parent = found.run.id
        return run


def _open_orphaned(
    search: Search, store: Store, archive: Archive, until_end: ExitStack
) -> Run | None:
    """Open the study's run as ``_open``, if the process that had it has ended or crashed."""
    run = _open(search, store, archive, until_end)
    found = _known(search, archive).run
    if run is None and found and not Others(archive, search.config.tracking).is_alive(found):
        run = _open(search, store, archive, until_end)
    return run


def _known(search: Search, archive: Archive) -> Known:
    """The study's run in the store; every search of the study resumes it."""
    if parent := search.study.parent:
        found = archive.runs("study", ids=[parent])
    else:  # another process may be about to name it
        claim = claim_of(search.subject)
        found = archive.runs("study", claim=claim, status="RUNNING")
        found = [run for run in found if not run.is_withdrawn]
    if not found:
        return Known()
    running = found[0].status == "RUNNING"
    return Known(state=State.RUNNING if running else State.RESUMABLE, run=found[0])

"""The report command: what it takes from the command line, and when it fails."""

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import NO_LOCAL
from records import record, summary

import fae.report
from fae.errors import ConfigError, VerdictError
from fae.reports.config import ReportConfig
from fae.reports.present import report
from fae.reports.selection import Excluded
from fae.reports.summary import Summary
from fae.reports.write import Report

GOOD = [record(64, seed, error) for seed, error in enumerate([0.0413, 0.0414, 0.0415])]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ReportConfig]:
    """What the command was told; it makes nothing of it."""
    requests: list[ReportConfig] = []
    monkeypatch.setattr(fae.report, "report", requests.append)
    return requests


def command(*arguments: str) -> None:
    fae.report._run([NO_LOCAL, *arguments])


@pytest.mark.parametrize(
    ("arguments", "sweep"),
    [
        ([], ()),
        (["sweep=hidden=64,128 seed=0,1"], ("hidden=64,128 seed=0,1",)),
        (["sweep=59e26712"], ("59e26712",)),
        (["sweep=59e26712", "sweep=hidden=range(2,5)"], ("59e26712", "hidden=range(2,5)")),
        (["sweep=[a"], ("[a",)),
        (["sweep=${oc.env:HOME}\\'"], ("${oc.env:HOME}\\'",)),
    ],
)
def test_a_sweep_is_named_as_it_is(
    asked: list[ReportConfig], arguments: list[str], sweep: tuple[str, ...]
) -> None:
    command(*arguments)
    assert asked[0].sweep == sweep


def test_conditions_and_folders_need_no_quotes_of_hydras(asked: list[ReportConfig]) -> None:
    command("where=hidden=64,128", "where=optimizer=adam", "out=/a folder, of mine")
    assert asked[0].where == "hidden=64,128 optimizer=adam"
    assert str(asked[0].out) == "/a folder, of mine"


def test_what_else_is_given_is_hydras(asked: list[ReportConfig]) -> None:
    command("report.tolerance=0.1", "+epochs=3")
    assert asked[0].report.tolerance == 0.1
    assert (asked[0].where, asked[0].out) == (None, None)


@pytest.mark.parametrize("argument", ["where=", "sweep="])
def test_nothing_is_no_name(argument: str) -> None:
    with pytest.raises(ConfigError, match="must have at least 1 character"):
        command(argument)


@pytest.mark.parametrize("failures_follow", [False, True])
def test_failed_runs_are_named_unless_a_sweep_names_them(
    asked: list[ReportConfig],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    failures_follow: bool,
) -> None:
    command()
    excluded = [
        Excluded("0123456789", "hidden=4 seed=0", status, f"because of {status}")
        for status in ("FAILED", "KILLED")
    ]
    found = replace(summary(*GOOD), excluded=excluded)
    monkeypatch.setattr("fae.reports.write.make_report", lambda _: Report(Path(), found, ""))
    report(asked[0], failures_follow=failures_follow)
    shown = capsys.readouterr().out
    assert "excluded: hidden=4 seed=0 (01234567): because of KILLED\n" in shown
    assert ("because of FAILED" in shown) != failures_follow


@pytest.mark.parametrize(
    ("found", "others"),
    [
        (summary(*GOOD), None),
        (summary(*GOOD[:1]), "n = 64: not enough seeds"),
        (summary(*GOOD, record(32, 0, 0.1)), "n = 32: not in the paper"),
        (replace(summary(*GOOD), incomplete=True), "runs that are missing or did not finish"),
    ],
    ids=["all", "one seed", "unpublished", "incomplete"],
)
def test_it_fails_unless_everything_is_reproduced(
    asked: list[ReportConfig],
    monkeypatch: pytest.MonkeyPatch,
    found: Summary,
    others: str | None,
) -> None:
    command("report.fail_unless=reproduced")
    monkeypatch.undo()
    monkeypatch.setattr("fae.reports.write.make_report", lambda _: Report(Path(), found, ""))
    if others is None:
        report(asked[0])
    else:
        with pytest.raises(VerdictError, match=others):
            report(asked[0])

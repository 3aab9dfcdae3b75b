"""Saved views: what they hold, and that MLflow's page shows it."""

import base64
import html
import json
import re
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from conftest import BROWSER, NEEDS_BROWSER
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from fae.config import Config
from fae.tracking import view
from fae.tracking.archive import Archive
from fae.tracking.config import TrackingConfig
from fae.tracking.store import Store
from fae.tracking.view import View

Tiny = Callable[..., Config]
SHOWN = "tags.`mlflow.parentRunId` = 'abc'"
SWEEP = view.of_sweep("hidden=8,16", SHOWN, ["hidden", "seed"], epochs=3)
SEARCH = view.of_search("lr", SHOWN, {"lr": True, "optimizer.momentum": False})
NOTE = "mlflow.note.content"
OF_THE_SERVER = "ignore:starlette.middleware.wsgi is deprecated"
QUIET = "--no-first-run --disable-background-networking --disable-component-update --disable-sync"


def state_in(tag: str) -> dict[str, Any]:
    """The state that MLflow's page reads from a tag."""
    about = json.loads(tag)
    assert isinstance(about["name"], str)
    assert isinstance(about["createdAt"], int)
    kind, _, packed = about["state"].partition(";")
    assert kind == "deflate"
    state: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return state


def test_the_view_of_a_sweep_shows_errors_curves_and_reconstructions() -> None:
    state = state_in(SWEEP.tag(7))
    assert state["searchFilter"] == SHOWN
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`test/mse`", True)
    assert state["selectedColumns"] == [
        *(f"params.`{key}`" for key in ("hidden", "lr", "optimizer", "seed")),
        *(f"metrics.`{key}`" for key in ("test/mse", "val/mse", "time/fit_s")),
    ]
    assert [section["name"] for section in state["compareRunSections"]] == [
        "Error",
        "Reconstructions",
    ]
    curves, bars, pictures = state["compareRunCharts"]
    assert (curves["type"], curves["scaleType"]) == ("LINE", "log")
    assert curves["selectedMetricKeys"] == ["train/mse", "val/mse"]
    assert curves["lineSmoothness"] == 0  # else MLflow draws errors that nobody measured
    assert (bars["type"], bars["metricKey"]) == ("BAR", "test/mse")
    assert pictures["imageKeys"] == ["reconstructions"]
    assert (pictures["step"], pictures["showRunParams"]) == (3, False)


def test_the_view_of_a_search_shows_the_trials_errors_against_the_parameters() -> None:
    """Those on a logarithmic scale, which MLflow's chart does not have, beside the others only."""
    state = state_in(SEARCH.tag(7))
    assert state["searchFilter"] == (
        f"{SHOWN} AND tags.`fae.kind` = 'trial' AND metrics.`val/mse` < 1"
    )
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`val/mse`", True)
    momentum, every, curves = state["compareRunCharts"]
    assert momentum["xaxis"] == {"key": "optimizer.momentum", "type": "PARAM"}
    assert momentum["yaxis"] == {"key": "val/mse", "type": "METRIC"}
    assert every["selectedParams"] == ["lr", "optimizer.momentum"]
    assert every["selectedMetrics"] == curves["selectedMetricKeys"] == ["val/mse"]


def test_each_chart_is_in_a_section_and_has_a_name_of_its_own() -> None:
    for state in (SWEEP.state(), SEARCH.state()):
        charts, sections = state["compareRunCharts"], state["compareRunSections"]
        assert len({chart["uuid"] for chart in charts}) == len(charts)
        assert {chart["metricSectionId"] for chart in charts} == {s["uuid"] for s in sections}


def test_the_same_runs_have_the_same_key() -> None:
    again = view.of_sweep("another name", SHOWN, [], epochs=1)
    other = view.of_sweep("hidden=8,16", view.of_parent("def"), [], epochs=3)
    assert again.key == SWEEP.key != other.key
    assert re.fullmatch(r"fae-[0-9a-f]{12}", SWEEP.key)


def test_only_our_last_views_are_kept() -> None:
    prefix = view.TAG + view.OURS
    ours = {f"{prefix}{n}": json.dumps({"updatedAt": n}) for n in range(view.KEPT)}
    others = {f"{view.TAG}mine": '{"updatedAt": 0}', "mlflow.note.content": "text"}
    assert view.outdated({**ours, **others}) == []
    assert view.outdated({**ours, **others, f"{prefix}new": '{"updatedAt": 99}'}) == [f"{prefix}0"]
    for damaged in ("", "[]", '{"updatedAt": "x"}', "[" * 100_000, '{"updatedAt": 1e999}'):
        assert len(view.outdated({**ours, f"{prefix}x": damaged})) == 1


@pytest.fixture
def tracking(tiny: Tiny) -> TrackingConfig:
    return tiny().tracking


def test_a_view_that_is_saved_is_a_tag_of_the_experiment(
    tracking: TrackingConfig, client: MlflowClient
) -> None:
    experiment = Store(tracking).experiment_id
    archive = Archive(tracking)
    first = archive.save(SWEEP)
    assert archive.save(SWEEP) == first
    assert first == (
        f"http://127.0.0.1:5000/#/experiments/{experiment}/runs?workflowType=machine_learning"
        f"&compareRunsMode=CHART&viewStateShareKey={SWEEP.key}"
    )
    for number in range(view.KEPT):
        archive.save(view.of_sweep("", view.of_parent(f"{number}"), [], epochs=1))
    tags = client.get_experiment(experiment).tags
    saved = [name for name in tags if name.startswith(view.TAG + view.OURS)]
    assert len(saved) == view.KEPT
    assert view.TAG + SWEEP.key not in saved


def test_an_experiment_of_an_earlier_version_gets_a_description_with_a_view(
    tracking: TrackingConfig, client: MlflowClient
) -> None:
    experiment = Store(tracking).experiment_id
    described = client.get_experiment(experiment).tags[NOTE]
    client.delete_experiment_tag(experiment, NOTE)
    Archive(tracking).save(SWEEP)
    assert client.get_experiment(experiment).tags[NOTE] == described
    client.set_experiment_tag(experiment, NOTE, "a user's own")
    Archive(tracking).save(SWEEP)
    assert client.get_experiment(experiment).tags[NOTE] == "a user's own"


def test_where_no_view_can_be_saved_the_address_lists_the_runs(
    tracking: TrackingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise MlflowException("the database is read-only")

    Store(tracking)
    monkeypatch.setattr(MlflowClient, "set_experiment_tag", refuse)
    address = Archive(tracking).save(SWEEP)
    assert "viewStateShareKey" not in address
    assert "searchFilter=tags.%60mlflow.parentRunId%60%20%3D%20%27abc%27" in address
    assert "orderByKey=metrics.%60test%2Fmse%60&orderByAsc=true" in address


@pytest.fixture
def saved(tracking: TrackingConfig, tmp_path: Path) -> Callable[[Callable[[str], View]], str]:
    """Saves a view of two runs nested in a third, beside a fourth; returns the address's end."""
    store = Store(tracking)

    def add(
        name: str, error: float, parent: str | None = None, colour: str = "", kind: str = "trial"
    ) -> str:
        with store.run(
            name,
            kind=kind,
            folder=tmp_path / name,
            command="",
            parent=parent,
            colour=colour,
            parameters={"hidden": name, "lr": error, "optimizer": "sgd"},
        ) as run:
            for step in range(4):
                pixels = np.full((6, 30), 80 * step, np.uint8)
                run.log_image(pixels, "reconstructions", step)
            for step in (1, 2, 3):
                errors = {"train/mse": error * 10**-step, "val/mse": error * 10**-step}
                run.log_metrics(errors, step)
            run.log_metrics({"test/mse": error / 1000, "time/fit_s": 1.0}, 3)
        return run.id

    parent = add("parent", 1.5)
    add("worse", 0.9, parent, "#440154")
    add("better", 0.5, parent, "#1fa187")

    def save(made: Callable[[str], View]) -> str:
        return Archive(tracking).save(made(view.of_parent(parent))).partition("#")[2]

    return save


@pytest.fixture
def server(tracking: TrackingConfig, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the server behind ``mlflow ui``, in this process."""
    monkeypatch.setenv("_MLFLOW_SERVER_FILE_STORE", tracking.uri)
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", "mlruns")
    from mlflow.server import app
    from werkzeug.serving import make_server

    running = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}"
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


def page(address: str, profile: Path) -> str:
    """What a browser makes of a page."""
    assert BROWSER
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", *QUIET.split()]
    size = ["--window-size=1440,2000", "--virtual-time-budget=100000"]  # enough for a busy machine
    command = [BROWSER, *options, *size, f"--user-data-dir={profile}", "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def text_of(dom: str) -> str:
    """Its texts, each after a bar."""
    texts = re.sub(r"<(style|script)\b.*?</\1>", "", dom, flags=re.DOTALL)
    return html.unescape(re.sub(r"\s*(?:<[^>]*>\s*)+", "|", texts))


@pytest.mark.filterwarnings(OF_THE_SERVER)
@pytest.mark.slow
@NEEDS_BROWSER
def test_the_page_shows_the_view_of_a_sweep(
    saved: Callable[[Callable[[str], View]], str], server: str, tmp_path: Path
) -> None:
    address = saved(lambda shown: view.of_sweep("my sweep", shown, ["hidden"], epochs=3))
    dom = page(f"{server}/#{address}", tmp_path / "profile")
    text = text_of(dom)
    assert "|my sweep|" in text
    assert "|2|matching runs|" in text
    before, _, charts = text.partition("|Error|(2)|")
    assert "|Sort: test/mse|" in before
    assert before.index("|better|") < before.index("|worse|")
    assert "#440154|worse" in before
    curves, _, rest = charts.partition("|test/mse|")
    assert curves.count("|better (train/mse)|better (val/mse)|worse (train/mse)|") == 1
    assert "|0.001|" in curves
    assert "|0.01|" in curves
    _, _, pictures = rest.partition("|Reconstructions|(1)|")
    assert "|worse|" in pictures
    assert "hidden=" not in pictures.partition("|better|")[0]
    shown = re.findall(r'<img[^>]* src="get-artifact\?path=images%2Freconstructions[^"]*', dom)
    assert len(shown) == 2
    assert all("%2Bstep%2B3%2B" in source and "compressed.webp" in source for source in shown)


@pytest.mark.slow
@pytest.mark.filterwarnings(OF_THE_SERVER)
@NEEDS_BROWSER
def test_the_page_shows_the_view_of_a_search(
    saved: Callable[[Callable[[str], View]], str], server: str, tmp_path: Path
) -> None:
    searched = {"lr": True, "hidden": False}
    address = saved(lambda shown: view.of_search("my search", shown, searched))
    text = text_of(page(f"{server}/#{address}", tmp_path / "profile"))
    assert "|2|matching runs|" in text
    assert "|Sort: val/mse|" in text
    _, _, charts = text.partition("|Error by value|(2)|")
    assert "|lr vs. val/mse|" not in charts
    assert "|hidden vs. val/mse|" in charts
    assert "|Parallel Coordinates|" in charts
    assert "|Error by epoch|(1)|" in charts

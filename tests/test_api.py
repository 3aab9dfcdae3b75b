"""The functions for notebooks and scripts, and the notebook that shows them."""

import json
import logging
from pathlib import Path

import pytest
import torch
from conftest import NO_LOCAL, PROJECT

import fae
from fae.config import Config, fingerprint_fields
from fae.errors import ConfigError

SMALL = (NO_LOCAL, "experiment=smoke", "hidden=4", "epochs=2")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_store: None) -> Path:  # noqa: ARG001
    """A folder of a user's, with the store in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.mark.long
def test_a_run_is_trained_once_found_loaded_and_reported(project: Path) -> None:
    config = fae.compose(*SMALL)
    result = fae.fit(config)
    assert not result.was_done
    assert fae.fit(config).run_id == result.run_id
    other = fae.fit(fae.compose(*SMALL, "optimizer=adam", "dropout=0.25"))
    assert not logging.getLogger("pytorch_lightning.utilities").isEnabledFor(logging.INFO)

    runs = fae.load_runs()
    assert list(runs.index) == [result.run_id, other.run_id]
    assert list(runs["name"]) == [
        "hidden=4 data=synthetic epochs=2 batch_size=100 seed=0",
        "hidden=4 data=synthetic optimizer=adam epochs=2 dropout=0.25 batch_size=100 seed=0",
    ]
    assert list(runs["dropout"]) == [0.1, 0.25]
    assert runs["hidden"].dtype.kind == "i"
    assert runs.loc[result.run_id, "test/mse"] == result.metrics["test/mse"]
    assert (runs["ended"] >= runs["started"]).all()
    assert list(fae.load_runs("optimizer=adam").index) == [other.run_id]
    with pytest.raises(ConfigError, match="no parameter colour"):
        fae.load_runs("colour=red")

    network = fae.load_model(result.run_id[:8])
    images = config.data.build().test().as_floats().pixels
    error = (network(images) - images).square().mean().item()
    assert error == pytest.approx(result.metrics["test/mse"], rel=1e-5)
    with pytest.raises(ConfigError, match="no runs have ids that begin so"):
        fae.load_model("zz")

    report = fae.write_report(NO_LOCAL, where="hidden=4", out="here")
    assert report.folder == project / "here"
    assert (project / "here" / "report.html").exists()
    assert [row.hidden for row in report.summary.rows] == [4, 4]


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["experiment=digits", "hidden=7"],
        ["model=deep", "model.widths=[9,8]", "optimizer=adam", "optimizer.betas=[0.8,0.99]"],
        ["trainer.early_stopping=3", "optimizer.nesterov=true", "optimizer.momentum=0.9"],
    ],
)
def test_the_command_of_a_run_makes_its_configuration(overrides: list[str]) -> None:
    from fae.cli.preset import overrides_of

    config: Config = fae.compose(NO_LOCAL, *[o for o in overrides if "," not in o or "[" in o])
    again = fae.compose(NO_LOCAL, *overrides_of(config))
    assert fingerprint_fields(again) == fingerprint_fields(config)


def test_one_run_at_a_time_is_fitted() -> None:
    with pytest.raises(ConfigError, match=r"repeats=3: fit trains one run"):
        fae.fit(fae.compose(*SMALL, "repeats=3"))


def test_importing_the_package_imports_nothing_else() -> None:
    import subprocess
    import sys

    code = "import sys, fae; print(sorted(n for n in sys.modules if n.startswith('fae.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT)
    assert done.stdout == "[]\n", done.stderr
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        _ = fae.other


@pytest.mark.long
@pytest.mark.usefixtures("project")
def test_the_notebook_runs() -> None:
    notebook = json.loads((PROJECT / "docs" / "notebook.ipynb").read_text())
    names: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert isinstance(names["network"], torch.nn.Module)
    assert len(names["runs"]) == 3  # type: ignore[arg-type]

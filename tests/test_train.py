"""The command that users run: sweeps, exit codes, signals."""

import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import forking
import numpy as np
import pytest
import torch
from conftest import NO_LOCAL, PROJECT, Cli, environment, runs
from mlflow import MlflowClient

import fae.report
from fae.drawing import looks
from fae.reports.decision import Contrast, decide
from fae.runs.tensor_file import load
from fae.runtime.intervals import estimate
from fae.runtime.sequential import repeated_t

SMOKE = "experiment=smoke"


def test_help_is_light() -> None:
    """--help answers without the libraries that take seconds to import."""
    code = (
        "import sys; sys.argv = ['train', '--help']\n"
        "from fae.train import main\n"
        "try:\n    main()\n"
        "finally:\n    print(sorted({'torch', 'mlflow', 'pytorch_lightning', 'matplotlib', "
        "'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0
    assert "trainer.precision" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.fixture(scope="module")
def sweep_folder(
    tmp_path_factory: pytest.TempPathFactory, store_uri: str
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The paper's command, on small images."""
    folder = tmp_path_factory.mktemp("sweep")
    done = forking.run(
        [sys.executable, "-m", "fae.train", "-m", "hidden=64,128,256,512", SMOKE, NO_LOCAL],
        cwd=folder,
        env=environment(store_uri),
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder, done


Sweep = tuple[Path, subprocess.CompletedProcess[str]]


def test_a_sweep_is_a_parent_with_a_run_for_each_configuration(
    sweep_folder: Sweep, client: MlflowClient
) -> None:
    folder, _ = sweep_folder
    (parent,) = runs(client, "sweep", folder)
    children = runs(client, "run", folder)
    assert [run.data.params["hidden"] for run in children] == ["64", "128", "256", "512"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}
    assert {run.data.tags["fae.data_digest"] for run in [parent, *children]} == {
        parent.data.tags["fae.data_digest"]
    }
    assert children[0].info.run_name == "hidden=64 seed=0"


def test_a_sweep_says_a_line_a_job_and_ends_with_its_report(sweep_folder: Sweep) -> None:
    folder, done = sweep_folder
    assert done.stdout.startswith(f"hidden=64,128,256,512 {SMOKE}: 4 runs\n hidden=64 seed=0 ")
    for number, hidden in enumerate((64, 128, 256, 512), start=1):
        job = rf"\[{number}/4\] hidden={hidden} seed=0"
        assert re.search(job + r"  train 0\.\d{4}  val 0\.\d{4}  test 0\.\d{4}", done.stdout)
        assert re.search(job + r"  epoch 2/2 .* left  sweep [^:]* left", done.stdout)
    rows = re.findall(r"^ n = (\d+) +(.*?)  ", done.stdout, re.MULTILINE)
    assert [n for n, _ in rows] == ["64", "128", "256", "512"] * 2
    assert all(cell.endswith("(one seed)") for _, cell in rows[:4])
    *_, where, start, address = done.stdout.splitlines()
    report = folder / "reports" / f"hidden=64,128,256,512_{SMOKE}" / "report.html"
    assert where == f"report   {report}"
    assert report.exists()
    assert start.startswith("start    mlflow ui --backend-store-uri sqlite:///")
    page = r"open     http://127\.0\.0\.1:5000/#/experiments/\d+/runs\?.*&viewStateShareKey=fae-\w+"
    assert re.fullmatch(page, address)
    assert done.stderr == ""


def test_the_parent_shows_the_table_and_the_report(
    sweep_folder: Sweep, client: MlflowClient
) -> None:
    (parent,) = runs(client, "sweep", sweep_folder[0])
    files = {file.path for file in client.list_artifacts(parent.info.run_id, "report")}
    assert files == {
        "report/figures",
        "report/report.html",
        "report/summary.json",
        "report/table.csv",
        "report/table.md",
        "report/table.tex",
    }
    assert parent.data.tags["mlflow.note.content"].startswith("| setting | test error |")


def test_folders_and_runs_lead_to_each_other(sweep_folder: Sweep, client: MlflowClient) -> None:
    folder, _ = sweep_folder
    for run in [*runs(client, "sweep", folder), *runs(client, "run", folder)]:
        link = json.loads((Path(run.data.tags["fae.folder"]) / "run.json").read_text())
        assert link["run_id"] == run.info.run_id
        assert link["command"] == run.data.tags["fae.command"]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    content = (folder / "checkpoints" / "epoch=2.safetensors").read_bytes()
    state: dict[str, torch.Tensor] = load(content)["state_dict"]
    return {key: value for key, value in state.items() if key.startswith("network.")}


def test_a_run_alone_and_in_a_sweep_give_the_same_bits(
    sweep_folder: Sweep, cli: Cli, client: MlflowClient, tmp_path: Path
) -> None:
    done = cli("hidden=256", SMOKE)
    assert done.returncode == 0
    (alone,) = runs(client, "run", tmp_path)
    third = runs(client, "run", sweep_folder[0])[2]
    ours, theirs = (weights(Path(run.data.tags["fae.folder"])) for run in (alone, third))
    assert len(ours) == 4
    for key, value in ours.items():
        assert torch.equal(value, theirs[key]), key
    for metric in ("train/mse", "val/mse", "train/loss", "test/mse"):
        values = [
            [point.value for point in client.get_metric_history(run.info.run_id, metric)]
            for run in (alone, third)
        ]
        assert values[0] == values[1]
    assert alone.data.tags["fae.fingerprint"] == third.data.tags["fae.fingerprint"]


@pytest.mark.long
def test_a_single_run_ends_with_where_it_is_and_a_command_that_reports_it(
    cli: Cli,
    client: MlflowClient,
    store_uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = cli("hidden=4", SMOKE, "lr=0.123456789")
    (run,) = runs(client, "run", tmp_path)
    assert run.info.run_name == f"hidden=4 {SMOKE} lr=0.1235 seed=0"
    errors, *lines = done.stdout.splitlines()[-5:]
    assert errors.endswith(f"  run {run.info.run_id[:8]}")
    page = (
        f"http://127.0.0.1:5000/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
        "?workflowType=machine_learning"
    )
    report = ["python", "-m", "fae.report", f"where=run={run.info.run_id[:8]}", NO_LOCAL]
    assert lines == [
        f"folder   {run.data.tags['fae.folder']}",
        f"report   {shlex.join(report)}",
        f"start    mlflow ui --backend-store-uri {store_uri}",
        f"open     {page}",
    ]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    monkeypatch.chdir(tmp_path)
    fae.report._run(report[3:])
    (table,) = tmp_path.glob("reports/*/table.csv")
    assert table.read_text().count(run.info.run_id) == 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["hiden=3"], "hiden: no such key; did you mean hidden?"),
        (["hidden=abc"], "hidden=abc: must be a valid integer"),
        (["lr=0"], "lr=0: must be greater than 0"),
        (["dropout=1.0"], "dropout=1.0: must be less than 1"),
        (["optimizer=adm"], "optimizer=adm: unknown; did you mean adam?"),
        (["optimizer=null"], "optimizer=null: needs the name of a choice"),
        (["hydra.job.chdir=true"], "hydra.job.chdir=true: would move relative folders"),
        (["-m", "hidden=range(1,0)"], "sweep: no runs"),
        (["-m", "tracking.experiment=a,b", "hidden=1"], "tracking: must be the same for all runs"),
        (["--config-dir=.", "experiment=broken"], "broken.yaml, line 2: not valid YAML"),
        (["-m", "sweep.max_jobs=5,6"], "sweep: must be the same for all runs of a sweep"),
        (["-m", "hidden=1,2", "hydra.sweep.subdir=x", SMOKE], "hydra.sweep.subdir=x: is x for"),
        (["-m", "hydra/sweeper=basic", SMOKE], "hydra/sweeper: must be fae"),
        (["hydra.run.dir=file/out"], "file/out: Not a directory"),
        (["hydra.mode=RUN", "repeats=2"], "repeats=2: cannot be combined with hydra.mode=RUN"),
        (["tracking.register=a/b"], "tracking.register=a/b: must have no slash, colon, at sign"),
        (["hydra.mode=RUN", "repeats=auto"], "repeats=auto: cannot be combined with"),
        (
            ["repeats=auto", SMOKE],
            "repeats=auto: has nothing to decide about a single configuration",
        ),
        (["repeats=auto", "seed=1,2"], "seed: with repeats=auto must be the same for all runs"),
        (
            ["repeats=auto", "hidden=4,8", "sweep.detach=true"],
            "sweep.detach=true: not with repeats",
        ),
        (["repeats=auto", "hidden=4,8", "sweep.max_jobs=39"], "this sweep has 40 runs"),
        (["repeats_max=2"], "repeats_max=2: must be greater than or equal to 3"),
        (["repeats=0"], "repeats=0: must be greater than or equal to 1"),
        (["report.fail_unless=reproduced"], "report.fail_unless: applies to sweeps only"),
        (["trainer.accelerator=gpu"], "trainer.accelerator=gpu: torch finds no GPU"),
        (["trainer.accelerator=mps"], "trainer.accelerator=mps: Apple's GPUs lack double precis"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_ends_with_2_before_anything_is_computed(
    cli: Cli, tmp_path: Path, overrides: list[str], message: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "broken.yaml").write_text("hidden: [1\n")
    if "gpu" in overrides[0] and torch.cuda.is_available():
        pytest.skip("there is a GPU, so asking for one is no mistake")
    done = cli(*overrides)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) <= 3
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["trainer.precision=bf16-mixed"],
        ["trainer.precision=bf16-mixed", "sweep.plan_only=true"],
        ["-m", "trainer.precision=32-true,bf16-mixed"],
        ["-m", "trainer.precision=32-true,bf16-mixed", "sweep.plan_only=true"],
    ],
    ids=" ".join,
)
def test_bfloat16_without_instructions_ends_with_2_before_anything_is_computed(
    cli: Cli, tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a processor that imitates one without."""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
    done = cli(*arguments, SMOKE)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fae: trainer.precision=bf16-mixed: this processor (")
    assert len(done.stderr.splitlines()) == 1
    assert not [*tmp_path.rglob("run.json")]


def test_a_sweep_names_all_mistakes_before_its_first_job(cli: Cli, tmp_path: Path) -> None:
    done = cli("-m", "hidden=64,0,abc", "lr=0.5,-1")
    assert done.returncode == 2
    problems = [line.removeprefix("fae: ").partition(":")[0] for line in done.stderr.splitlines()]
    assert problems == ["lr=-1", "hidden=0", "hidden=abc"]
    assert list(tmp_path.iterdir()) == []


def test_output_may_be_cut_short() -> None:
    command = f"{sys.executable} -m fae.train --help | head -1"
    done = subprocess.run(command, shell=True, cwd=PROJECT, capture_output=True, text=True)
    assert done.stdout == "Train one configuration, or with -m a sweep of several.\n"
    assert done.stderr == ""


@pytest.mark.long
def test_a_reader_that_goes_away_ends_no_run(
    client: MlflowClient, store_uri: str, tmp_path: Path
) -> None:
    with begun(tmp_path, store_uri, "hidden=4", "epochs=20", "sweep.rerun=true") as process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=300) == 0
    (run,) = runs(client, "run", tmp_path)
    assert run.info.status == "FINISHED"


@pytest.mark.long
def test_a_sweep_goes_on_where_nothing_can_be_shown(
    client: MlflowClient, store_uri: str, tmp_path: Path
) -> None:
    """Standard output is full, the locale knows ASCII only, and warnings are to be errors.

    So in processes of joblib's, and in a folder of an odd name.
    """
    here = tmp_path / '100% #1? it\'s "what" $HOME;&=,[a]{b}~+%20'
    here.mkdir()
    overrides = f"hidden=4,8 repeats=2 {SMOKE} {NO_LOCAL} sweep.rerun=true"
    workers = "hydra/launcher=joblib hydra.launcher.n_jobs=2"
    done = subprocess.run(
        f"{sys.executable} -m fae.train -m {overrides} {workers} > /dev/full",
        shell=True,
        cwd=here,
        env={
            **environment(store_uri),
            "LC_ALL": "C",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONWARNINGS": "error",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "fae: standard output is lost (No space left on device)" in done.stderr
    assert "Traceback" not in done.stderr
    assert [run.info.status for run in runs(client, "run", tmp_path)] == ["FINISHED"] * 4
    (table,) = here.glob("reports/*/table.md")
    assert table.read_text(encoding="utf-8").count(" ± ") == 2


def test_a_sweep_without_data_ends_before_its_first_job(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = cli("-m", "hidden=64,128", "data.root=file")
    assert done.returncode == 2
    assert "set FAE_DATA or data.root" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_store_that_cannot_be_used_ends_with_3(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database" * 50)
    done = cli("-m", "hidden=4,8", SMOKE, "tracking.uri=sqlite:///notes.txt")
    assert done.returncode == 3
    assert "notes.txt: not a database that can be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_repeats_make_seeds_of_each_configuration_round_by_round(
    cli: Cli, client: MlflowClient, tmp_path: Path
) -> None:
    """Without -m, and jobs that are equal are run once."""
    done = cli("hidden=64,128", "seed=3,4", "repeats=2", "epochs=1", "data=synthetic")
    assert done.returncode == 0, done.stderr
    made = runs(client, "run", tmp_path)
    settings = [(run.data.params["hidden"], run.data.params["seed"]) for run in made]
    assert settings == [("64", s) for s in "34"] + [("128", s) for s in "34"] + [
        ("64", "5"),
        ("128", "5"),
    ]
    assert made[0].info.run_name == "hidden=64 seed=3"
    assert re.search(r"^ n = 128 +0\.\d{4} ± 0\.\d{4} \(3\)", done.stdout, re.MULTILINE)
    (parent,) = runs(client, "sweep", tmp_path)
    assert parent.info.run_name == "hidden=64,128 seed=3,4 repeats=2 epochs=1 data=synthetic"
    assert {run.data.tags["mlflow.parentRunId"] for run in made} == {parent.info.run_id}
    assert parent.data.tags["fae.planned_runs"] == "6"
    assert parent.data.tags["fae.verdict"] == "not in the paper"
    assert parent.data.params["epochs"] == "1"
    assert not parent.data.params.keys() & {"hidden", "seed"}
    by_n = {p.step: p.value for p in client.get_metric_history(parent.info.run_id, "test/mse")}
    errors = {
        n: [r.data.metrics["test/mse"] for r in made if r.data.params["hidden"] == n]
        for n in ("64", "128")
    }
    assert by_n == {int(n): pytest.approx(np.mean(of)) for n, of in errors.items()}
    assert parent.data.metrics["test/lowest_mse"] == min(by_n.values())
    assert parent.data.metrics["finished_runs"] == 6
    of_n = {n: look.colour for n, look in looks.in_order([64, 128]).items()}
    colours = [run.data.tags["mlflow.runColor"] for run in made]
    assert colours == [of_n[int(n)] for n, _ in settings]
    assert "viewStateShareKey=fae-" in done.stdout
    assert made[-1].data.tags["fae.command"].endswith("seed=5 repeats=1")


@pytest.mark.long
def test_seeds_are_added_until_settings_can_be_told_apart_or_there_are_enough(
    cli: Cli, client: MlflowClient, tmp_path: Path
) -> None:
    """The report decides as the sweep did, and says what is still needed."""
    done = cli("hidden=5,4", SMOKE, "repeats=auto", "repeats_max=4")
    assert done.returncode == 0, done.stderr
    assert "3 to 4 seeds each: up to 2 more runs follow, until all is decided" in done.stdout
    assert "not decided yet, one more seed each: hidden=5 seed=3, hidden=4 seed=3" in done.stdout
    (parent,) = runs(client, "sweep", tmp_path)
    made = runs(client, "run", tmp_path)
    seeds = [(run.data.params["hidden"], run.data.params["seed"]) for run in made]
    assert seeds == [(hidden, seed) for seed in "0123" for hidden in "54"]
    assert {run.data.tags["mlflow.parentRunId"] for run in made} == {parent.info.run_id}
    assert parent.data.tags["fae.planned_runs"] == "8"
    (summary,) = (tmp_path / "reports").glob("*/summary.json")
    found = json.loads(summary.read_text())
    first, second = found["rows"]
    assert (found["decisions"], first["against_first"]) == (1, None)
    errors = [[run["test"] for run in row["runs"]] for row in (first, second)]
    bounds = repeated_t(0.05)
    assert second["test"]["high"] == pytest.approx(estimate(errors[1], bounds).high, rel=1e-12)
    decision = decide(Contrast(errors[1], errors[0], 0.03), bounds)
    assert (second["against_first"], second["more_seeds"]) == (
        decision.answer,
        decision.more_seeds,
    )
    assert decision.answer == "not enough seeds"
    page = summary.with_name("report.html").read_text(encoding="utf-8")
    assert f"<td>{decision.more_seeds}</td>" in page
    assert "an interval that was to hold after each seed that was added" in page


@pytest.mark.long
def test_a_sweep_that_reproduces_nothing_fails_when_asked_to(
    cli: Cli, client: MlflowClient, tmp_path: Path
) -> None:
    """And registers nothing."""
    name = tmp_path.name
    done = cli(
        "-m", "hidden=4", SMOKE, "report.fail_unless=reproduced", f"tracking.register={name}"
    )
    assert done.returncode == 1
    assert not client.search_registered_models(f"name = '{name}'")
    assert "report.fail_unless=reproduced: not so for n = 4: not in the paper" in done.stderr
    assert (tmp_path / "reports" / f"hidden=4_{SMOKE}" / "report.html").exists()
    assert [run.info.status for run in runs(client, "sweep", tmp_path)] == ["FINISHED"]


@pytest.mark.long
def test_the_best_network_of_a_sweep_or_a_run_is_registered_once_all_is_done(
    cli: Cli, client: MlflowClient, tmp_path: Path
) -> None:
    name = tmp_path.name
    sweep = cli("-m", "hidden=2,16", SMOKE, f"tracking.register={name}")
    best = min(runs(client, "run", tmp_path), key=lambda run: run.data.metrics["val/mse"])
    (parent,) = runs(client, "sweep", tmp_path)
    said = f"registered {best.info.run_name} ({best.info.run_id[:8]}) as {name} version 1, its"
    assert sweep.stdout.splitlines()[-1].startswith(said)
    version = client.get_model_version_by_alias(name, "champion")
    assert version.run_id == best.info.run_id
    assert version.tags["fae.verdict"] == parent.data.tags["fae.verdict"]
    single = cli("hidden=1", SMOKE, f"tracking.register={name}")
    said = f"the champion of {name} stays version 1: validation error "
    assert single.stdout.splitlines()[-1].startswith(said)


def test_a_sweep_over_data_sets_that_is_to_be_registered_is_refused(
    cli: Cli, tmp_path: Path
) -> None:
    done = cli("-m", SMOKE, "data=digits,synthetic", f"tracking.register={tmp_path.name}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"fae: tracking.register={tmp_path.name}: the runs of this sweep")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_sweeps_share_a_folder_but_no_run_s(cli: Cli, client: MlflowClient, tmp_path: Path) -> None:
    for hidden in ("4,5", "6"):
        done = cli("-m", f"hidden={hidden}", SMOKE, "hydra.sweep.dir=here")
        assert done.returncode == 0, done.stderr
    folders = [Path(run.data.tags["fae.folder"]).name for run in runs(client, "run", tmp_path)]
    assert folders == ["0", "1", "2"]


@pytest.mark.long
def test_the_debug_preset_leaves_a_profile(cli: Cli, tmp_path: Path) -> None:
    done = cli("experiment=debug", "data=synthetic")
    assert done.returncode == 0, done.stderr
    (profile,) = tmp_path.glob("outputs/*/*/fit-profile.txt")
    assert "training_step" in profile.read_text()


@pytest.mark.long
def test_one_failed_job_leaves_the_others_and_ends_with_1(
    cli: Cli, client: MlflowClient, tmp_path: Path
) -> None:
    done = cli("-m", "lr=1e9,0.5", SMOKE, "hidden=4", "report.fail_unless=reproduced")
    assert done.returncode == 1
    assert re.search(
        r"^\[1/2\] .* failed: loss is .* at epoch 1, step \d", done.stdout, re.MULTILINE
    )
    assert re.search(r"^\[2/2\] .* test 0\.\d{4}", done.stdout, re.MULTILINE)
    first, why, _, again, _ = done.stderr.splitlines()
    assert first == "fae: 1 of 2 runs failed"
    assert why.startswith("  hidden=4 lr=1e+09 seed=0: loss is ")
    assert (done.stdout + done.stderr).count("loss is ") == 2
    assert shlex.split(again) == [
        *("python", "-m", "fae.train", "-m", "lr=1e9,0.5", SMOKE, "hidden=4"),
        *("report.fail_unless=reproduced", NO_LOCAL, "sweep.retry_failed=true"),
    ]
    assert [run.info.status for run in runs(client, "run", tmp_path)] == ["FAILED", "FINISHED"]
    assert [run.info.status for run in runs(client, "sweep", tmp_path)] == ["FAILED"]


def begun(folder: Path, store_uri: str, *arguments: str) -> "subprocess.Popen[str]":
    """The command, on small images, while it runs."""
    return forking.Popen(
        [sys.executable, "-m", "fae.train", *arguments, SMOKE, NO_LOCAL],
        cwd=folder,
        env=environment(store_uri),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("first", "second", "different"),
    [
        (["hidden=4", "seed=70"], ["hidden=4", "seed=70"], 1),
        (["-m", "hidden=4,5", "seed=72"], ["-m", "hidden=5,6", "seed=72"], 3),
    ],
    ids=["one run", "sweeps that share a run"],
)
def test_commands_given_at_once_compute_nothing_twice(
    client: MlflowClient,
    store_uri: str,
    tmp_path: Path,
    first: list[str],
    second: list[str],
    different: int,
) -> None:
    both = [begun(tmp_path, store_uri, *one, "epochs=20") for one in (first, second)]
    for process in both:
        said, told = process.communicate(timeout=300)
        assert process.returncode == 0 or "running in another process" in said + told
        assert "Traceback" not in told
    assert 0 in [process.returncode for process in both]
    for overrides in (first, second):
        again = begun(tmp_path, store_uri, *overrides, "epochs=20")
        said, told = again.communicate(timeout=300)
        assert again.returncode == 0, told
    assert [run.info.status for run in runs(client, "run", tmp_path)] == ["FINISHED"] * different
    assert {run.info.status for run in runs(client, "sweep", tmp_path)} <= {"FINISHED"}


def test_a_failed_run_says_why_and_nothing_else(cli: Cli) -> None:
    done = cli("lr=1e9", SMOKE, "hidden=4")
    assert done.returncode == 1
    assert re.fullmatch(r"fae: loss is .* at epoch 1, step \d.*\n", done.stderr)


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
@pytest.mark.parametrize("options", [[], ["-m"]], ids=["run", "sweep"])
def test_a_signal_ends_a_run_as_killed(
    client: MlflowClient,
    store_uri: str,
    tmp_path: Path,
    signum: int,
    code: int,
    options: list[str],
) -> None:
    process = begun(tmp_path, store_uri, *options, "epochs=1000000", "sweep.rerun=true")
    assert process.stdout is not None
    assert any("epoch 1/" in line for line in iter(process.stdout.readline, ""))
    process.send_signal(signum)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert errors.splitlines() == [f"fae: interrupted by {signal.Signals(signum).name}"]
    kinds = ["run", "sweep"] if options else ["run"]
    for kind in kinds:
        assert [run.info.status for run in runs(client, kind, tmp_path)] == ["KILLED"]


ANY_LAUNCHER = """
import signal, sys

def requeue(*_):
    print("requeued")
    sys.exit(-1)

signal.signal(signal.SIGTERM, lambda *_: print("bypassed"))
signal.signal(signal.SIGUSR2, requeue)
"""
SUBMITIT = """
from submitit.core.utils import DelayedSubmission, JobPaths
from submitit.local.local import LocalJobEnvironment

class Job:
    def __call__(self): pass
    def checkpoint(self): return DelayedSubmission(self)

class Environment(LocalJobEnvironment):
    def _requeue(self, countdown): print("requeued")

submission = DelayedSubmission(Job())
submission.set_timeout(timeout_min=60, max_num_timeout=3)
Environment()._handle_signals(JobPaths(".", "1"), submission)
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("launcher", "seed"), [(ANY_LAUNCHER, 80), (SUBMITIT, 81)], ids=["any", "submitit"]
)
def test_a_launcher_requeues_an_interrupted_run_which_resumes(
    launcher: str, seed: int, client: MlflowClient, store_uri: str, tmp_path: Path
) -> None:
    """Its handlers are installed before Hydra runs the job."""
    if launcher == SUBMITIT:
        pytest.importorskip("submitit", reason="needs submitit, which fae[slurm] installs")
    code = f"{launcher}\nfrom fae.train import run_job\nrun_job()"
    overrides = [SMOKE, NO_LOCAL, f"seed={seed}", "epochs=1000000", "hydra.run.dir=run"]

    def interrupted(signum: int, after: str) -> tuple[int, str]:
        """The exit code, and what is printed, with a signal after some epoch."""
        process = forking.Popen(
            [sys.executable, "-c", code, *overrides],
            cwd=tmp_path,
            env=environment(store_uri),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        before = next(line for line in process.stdout if after in line)
        process.send_signal(signum)
        said, errors = process.communicate(timeout=60)
        assert "Traceback" not in errors
        (run,) = runs(client, "run", tmp_path)
        assert run.info.status == "KILLED"
        return process.returncode, before + said

    code_of_launcher, said = interrupted(signal.SIGUSR2, "epoch 2/")
    assert code_of_launcher == 255
    assert "requeued" in said
    code_of_signal, said = interrupted(signal.SIGTERM, "epoch ")
    assert code_of_signal == 143
    assert "epoch 1/" not in said
    assert "requeued" not in said

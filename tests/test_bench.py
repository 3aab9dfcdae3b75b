"""The benchmark: what was measured is shown, what was not is left out, and nothing is mistaken."""

import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from benchmarks import bench, tables
from benchmarks.peer import Measured
from fae.errors import ConfigError


def peer(*epoch_s: float, test_mse: float = 0.04) -> dict[str, Any]:
    return {"epoch_s": list(epoch_s), "test_mse": test_mse}


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, Any]:
    """Two networks, of which not all is known."""
    refused = {"refused": "trainer.precision=bf16-mixed: no such instructions"}
    small = {
        "products by oneDNN": {"epoch_s": [1.0]},
        "products by PyTorch": {"epoch_s": [1.5, 2.0, 2.5]},
        "fae": peer(3.0, 4.0, 6.0),
        "fae, bf16-mixed": refused,
        "plain loop": peer(2.0, test_mse=0.041),
        "JAX, compiled scan": peer(8.0, test_mse=0.05),
    }
    large = {
        "products by oneDNN": {"epoch_s": [6.0]},
        "products by PyTorch": {"epoch_s": [5.0]},
        "fae": peer(8.0),
        "fae, bf16-mixed": refused,
        "plain loop": peer(7.0),
        "JAX, compiled scan": peer(8.0),
        "Lightning template": peer(24.0),
    }
    measured = {
        "machine": {"processor": "AMD EPYC", "instruction set": "AVX2", "date": "2026-11-24"},
        "method": "Medians.",
        "commands": {tables.BARE: 2.0, tables.FIRST_BATCH: 2.5},
        "epochs": {"64": small, "512": large},
    }
    (tmp_path / "amd-epyc-avx2.json").write_text(json.dumps(measured))
    tables.main(tmp_path)
    (read,) = tables.read(tmp_path)
    assert (tmp_path / "table.md").read_text() == tables.report([read])
    return read


def rows(text: str) -> dict[str, list[str]]:
    """The cells of a table, by the first of their row."""
    lines = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    return {name.strip(): [cell.strip() for cell in cells] for name, *cells in lines}


def test_rows_show_what_is_known(machine: dict[str, Any]) -> None:
    times, *_ = tables.epochs(machine["epochs"])
    assert times.startswith("Epoch with both evaluations:\n")
    assert rows(times) == {
        "[s]": ["n = 64", "n = 512", "sum", "time / fae's"],
        "---": ["---"] * 4,
        "products by oneDNN": ["1.000", "6.000", "7.00", "0.58"],
        "products by PyTorch": ["2.000 (1.500 to 2.500)", "5.000", "7.00", "0.58"],
        "products, each by the quicker library": ["1.000", "5.000", "6.00", "0.50"],
        "fae": ["4.000 (3.000 to 6.000)", "8.000", "12.00", "1.00"],
        "plain loop": ["2.000", "7.000", "9.00", "0.75"],
        "JAX, compiled scan": ["8.000", "8.000", "16.00", "errors differ"],
        "Lightning template": ["", "24.000", "", "3.00"],
    }


def test_ratios_are_of_one_time_over_another(machine: dict[str, Any]) -> None:
    _, ratios, *_ = tables.epochs(machine["epochs"])
    epoch = ", epoch with both evaluations"
    found = rows(ratios)
    assert found[f"products, each by the quicker library / fae{epoch}"] == ["0.25", "0.62", "0.50"]
    assert found[f"fae / plain loop{epoch}"] == ["2.00", "1.14", "1.33"]
    assert not any("bf16" in name or "training pass" in name for name in found)


def test_what_a_processor_refuses_is_said(machine: dict[str, Any]) -> None:
    said = "Refused, fae, bf16-mixed: trainer.precision=bf16-mixed: no such instructions"
    assert said in tables.epochs(machine["epochs"])


def test_the_first_batch_is_compared_with_the_bare_imports(machine: dict[str, Any]) -> None:
    *_, said = tables.commands(machine["commands"])
    assert said == (
        "Start to first batch takes 1.25 times as long as importing torch and Lightning alone."
    )


def test_machines_stand_side_by_side(machine: dict[str, Any]) -> None:
    other = {"fae": peer(0.5), "fae, no dropout": peer(0.4), "scikit-learn, no dropout": peer(1.0)}
    second = {
        "machine": {"processor": "Arm", "instruction set": "SVE256", "date": "2027-01-01"},
        "epochs": {"64": other, "512": other},
    }
    heading, *others = tables.summary([machine, second]).splitlines()
    assert heading == (
        "|  | AMD EPYC, AVX2, 2026-11-24 [s] | time / fae's "
        "| Arm, SVE256, 2027-01-01 [s] | time / fae's |"
    )
    assert others[4:] == [
        "| fae | 12.00 | 1.00 | 1.00 | 1.00 |",
        "| fae, no dropout |  |  | 0.80 | 0.80 |",
        "| plain loop | 9.00 | 0.75 |  |  |",
        "| JAX, compiled scan | 16.00 | errors differ |  |  |",
        "| scikit-learn, no dropout |  |  | 2.00 | 2.50 |",
    ]


@pytest.mark.parametrize(
    ("processor", "instructions", "slug"),
    [
        ("AMD EPYC", "AVX512", "amd-epyc-avx512"),
        ("Intel(R) Xeon(R) CPU @ 2.80GHz", "AVX2", "intel-xeon-cpu-2-80ghz-avx2"),
    ],
)
def test_a_machine_has_its_file(processor: str, instructions: str, slug: str) -> None:
    assert bench.slug({"processor": processor, "instruction set": instructions}) == slug


@pytest.mark.parametrize("file", sorted(tables.SPEED.glob("*.json")), ids=str)
def test_the_files_are_named_by_their_machines(file: Path) -> None:
    assert file.stem == bench.slug(json.loads(file.read_text())["machine"])


def test_rounds_are_interleaved(tmp_path: Path) -> None:
    """Peers of one round have one; a peer that is refused is not tried again."""
    called = []

    class Worker:
        def __init__(self, name: str) -> None:
            self.name = name

        def submit(self, *_: object) -> "Future[Measured]":
            called.append(self.name)
            future: Future[Measured] = Future()
            if self.name == "fae, bf16-mixed":
                future.set_exception(ConfigError("trainer.precision=bf16-mixed: too slow"))
            else:
                epochs = [9.0, *(len(called) + part for part in (0.0, 1.0))]
                future.set_result(Measured(epochs, epochs, None))
            return future

    names = ("fae", "fae, bf16-mixed", "Lightning template", "plain loop, compiled")
    workers: Any = {name: Worker(name) for name in names}
    found = bench.epochs(workers, 256, tmp_path, rounds=2)
    assert called == [*names, "fae"]
    assert found == {
        "fae": {"train_s": [1.75, 3.5, 5.25], "epoch_s": [1.75, 3.5, 5.25]},
        "fae, bf16-mixed": {"refused": "trainer.precision=bf16-mixed: too slow"},
        "Lightning template": {"train_s": [3.5], "epoch_s": [3.5]},
        "plain loop, compiled": {"train_s": [4.5], "epoch_s": [4.5]},
    }
    called.clear()
    assert set(bench.epochs(workers, 64, tmp_path, rounds=1)) == {"fae", "fae, bf16-mixed"}


def test_an_imitated_processor_is_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    with pytest.raises(SystemExit, match="ONEDNN_MAX_CPU_ISA"):
        bench.main(tmp_path)
    assert not list(tmp_path.iterdir())

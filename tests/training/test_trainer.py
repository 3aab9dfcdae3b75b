"""The Trainer does as it is told, whatever cluster the environment announces."""

import platform
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.rank_zero import rank_zero_only

from fae.config import Config
from fae.errors import ConfigError
from fae.runs.build import build
from fae.runtime import processor
from fae.training.prerequisites import check_trainer
from fae.training.trainer import build_trainer

Tiny = Callable[..., Config]
SLURM = {"SLURM_JOB_ID": "17", "SLURM_PROCID": "2", "SLURM_LOCALID": "2", "SLURM_NODEID": "1"}
RANKS = {"RANK": "1", "LOCAL_RANK": "1", "NODE_RANK": "1", "GROUP_RANK": "1", "WORLD_SIZE": "4"}
SERVER = {"MASTER_ADDR": "nowhere", "MASTER_PORT": "1"}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {**SLURM, "SLURM_NTASKS": "4"},
        {**SLURM, "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4"},
        {**SLURM, "SLURM_NTASKS": "1"},
        {**SLURM, "SLURM_NTASKS": "4", "SLURM_JOB_NAME": "interactive"},
        RANKS,
        {**RANKS, **SERVER, "TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "4"},
        {**RANKS, **SERVER, "KUBERNETES_PORT": "1"},
        {"LSB_JOBID": "1", "LSB_DJOB_RANKFILE": "/nowhere", "JSM_NAMESPACE_RANK": "1"}
        | {"JSM_NAMESPACE_SIZE": "2", "JSM_NAMESPACE_LOCAL_RANK": "1"},
        {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "1", "PMI_RANK": "1"},
    ],
    ids=lambda variables: " ".join(variables) or "none",
)
def test_a_cluster_changes_nothing(
    variables: dict[str, str], tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Slurm installed; warnings are errors here."""
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}", prepend=":")
    monkeypatch.setattr(rank_zero_only, "rank", int(variables.get("RANK", "0")))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config = tiny()
    data, learner = build(config, config.data.build())
    trainer = build_trainer(config.trainer, epochs=2, folder=tmp_path, callbacks=[])
    trainer.fit(learner, data)
    trainer.test(learner, data, verbose=False)
    environment = trainer._accelerator_connector.cluster_environment
    assert isinstance(environment, LightningEnvironment)
    assert (trainer.global_rank, trainer.world_size) == (0, 1)
    assert rank_zero_only.rank == 0  # type: ignore[attr-defined]
    assert trainer.current_epoch == 2


def test_what_only_the_first_process_of_a_cluster_does_is_done(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rank is a private part of Lightning's."""
    done: list[str] = []
    monkeypatch.setattr(rank_zero_only, "rank", 3)
    rank_zero_only(done.append)("as rank 3")
    build_trainer(tiny().trainer, epochs=1, folder=tmp_path, callbacks=[])
    rank_zero_only(done.append)("as the only one")
    assert done == ["as the only one"]


def test_single_precision_is_single_whatever_the_process_has_set(
    tiny: Tiny, tmp_path: Path
) -> None:
    """A notebook may have chosen TF32, or on some processors bfloat16."""
    torch.set_float32_matmul_precision("medium")
    build_trainer(tiny().trainer, epochs=1, folder=tmp_path, callbacks=[])
    assert torch.get_float32_matmul_precision() == "highest"


def test_an_argument_from_the_environment_is_refused(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PL_TRAINER_MAX_STEPS", "1")
    with pytest.raises(ConfigError, match=r"^PL_TRAINER_MAX_STEPS=1: .*; unset PL_TRAINER_MAX_S"):
        check_trainer(tiny().trainer)


def without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "has_bfloat16", lambda: False)
    monkeypatch.setattr(processor, "name", lambda: "Old One")


def test_bfloat16_without_instructions_is_refused(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_bfloat16(monkeypatch)
    with pytest.raises(ConfigError) as refused:
        check_trainer(tiny("trainer.precision=bf16-mixed").trainer)
    assert str(refused.value) == (
        "trainer.precision=bf16-mixed: this processor (Old One) has no bfloat16 instructions, and "
        "would take longer than with trainer.precision=32-true (17 times as long on an AMD EPYC "
        "with AVX2); trainer.emulate_bf16=true insists"
    )


@pytest.mark.parametrize(
    "overrides",
    [[], ["trainer.precision=bf16-mixed", "trainer.emulate_bf16=true"]],
    ids=["single precision", "insisted"],
)
def test_without_bfloat16_instructions_other_settings_are_accepted(
    tiny: Tiny, overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    without_bfloat16(monkeypatch)
    check_trainer(tiny(*overrides).trainer)


def test_bfloat16_with_instructions_is_accepted(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "has_bfloat16", lambda: True)
    check_trainer(tiny("trainer.precision=bf16-mixed").trainer)


def test_a_gpu_computes_in_bfloat16_whatever_the_processor_has(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_bfloat16(monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_trainer(tiny("trainer.precision=bf16-mixed", "trainer.accelerator=gpu").trainer)


def test_a_mac_has_no_gpu_that_can_be_used(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(ConfigError, match=r"^trainer.accelerator=gpu: Apple's GPUs .*; use cpu$"):
        check_trainer(tiny("trainer.accelerator=gpu").trainer)

"""Boots of machines: the same for all processes of one, another one after a reboot."""

import platform
from pathlib import Path

import pytest

from fae.runtime import machine
from fae.runtime.machine import Boot


@pytest.fixture
def tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "type[None]":
    monkeypatch.setattr(machine, "MACHINE_ID", tmp_path / "machine-id")
    monkeypatch.setattr(machine, "BOOT_ID", tmp_path / "boot_id")
    return type(None)


def boot(folder: Path, machine_id: str, boot_id: str) -> Boot:
    (folder / "machine-id").write_text(machine_id)
    (folder / "boot_id").write_text(boot_id)
    return Boot.current()


@pytest.mark.usefixtures("tell")
def test_a_reboot_changes_the_boot_and_not_the_machine(tmp_path: Path) -> None:
    first = boot(tmp_path, "m", "1\n")
    assert boot(tmp_path, "m\n", "1") == first
    second, other = boot(tmp_path, "m", "2"), boot(tmp_path, "n", "1")
    assert (second.machine == first.machine, second == first) == (True, False)
    assert other.machine != first.machine
    assert other.boot != first.boot
    assert Boot.parse(str(first)) == first


@pytest.mark.usefixtures("tell")
def test_where_the_system_does_not_tell_hosts_are_told_apart_by_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = Boot.current()
    assert Boot.current() == here
    monkeypatch.setattr(platform, "node", lambda: "elsewhere")
    assert Boot.current().machine != here.machine


def test_the_ids_themselves_are_not_told() -> None:
    for file in (machine.MACHINE_ID, machine.BOOT_ID):
        if file.exists():
            assert file.read_text().strip() not in str(Boot.current())


@pytest.mark.parametrize("text", ["", "m", "/", "m/", "/b"])
def test_other_texts_are_no_boots(text: str) -> None:
    assert Boot.parse(text) is None

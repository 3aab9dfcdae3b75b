"""The command fae: its subcommands, what it says of itself, completion with the tab key."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import environment

from fae import __main__ as command
from fae.cli import completion
from fae.cli.commands import COMMANDS
from fae.runtime import process


@pytest.fixture(autouse=True)
def as_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the command run in this process, which it leaves as it was."""
    monkeypatch.setattr(process, "begin", lambda: None)
    monkeypatch.setattr(sys, "argv", [])


def told(*arguments: str) -> None:
    sys.argv = ["fae", *arguments]
    command.main()


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_by_itself_it_names_its_commands(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    told(*arguments)
    assert capsys.readouterr().out.startswith("Train and compare auto-encoders.\n")


@pytest.mark.parametrize(
    "arguments", [["--version"], ["train", "--version"], ["doctor", "--version"]]
)
def test_it_has_a_version(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    told(*arguments)
    assert capsys.readouterr().out == "fae 0.1.0\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_subcommand_is_the_module_of_its_name(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told(name, "--help")
    assert f"\nusage: fae {name} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "trian: no such command; did you mean train?"),
        (["hidden=64"], "hidden=64: no command; did you mean fae train hidden=64 ...?"),
        (["-m", "a=1"], "-m: no command; did you mean fae train -m ...?"),
        (["--foo"], f"--foo: no such command; choose from {', '.join(COMMANDS)}; fae --help says"),
        (["\x1b[2J"], r"\x1b[2J: no such command;"),
        (["sync", "--foo"], "--foo: no such option; see --help"),
        (["doctor", "--hidden=3"], "--hidden=3: settings have no dashes; write hidden=3"),
        (["train", "--hidden=3"], "--hidden=3: settings have no dashes; write hidden=3"),
        (["train", "--config-name", "nope"], "--config-name=nope: there is no such file; leave it"),
        (["train", "--config-dir=/none"], "--config-dir=/none: there is no such folder"),
        (["search", "trials=3"], "trials: no such key; did you mean search.trials?"),
        (["report", "hidden=3"], "hidden: not taken by this command, but by python -m fae.train"),
        (
            ["report", "experiment=lr"],
            "experiment: not taken by this command, but by python -m fae",
        ),
        (["completion"], "completion: needs one of bash, zsh, fish"),
        (["completion", "tcsh"], "completion: needs one of bash, zsh, fish"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_named_with_its_remedy(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        told(*arguments)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"fae: {message}")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("fae ", [*COMMANDS, "completion", "--help", "--version"]),
        ("fae s", ["search", "sync"]),
        ("fae train hid", ["hidden="]),
        ("fae train -m optimizer=ad", ["optimizer=adam", "optimizer=adamw"]),
        ("fae train optimizer=adam optimizer.e", ["optimizer.eps="]),
        (
            "fae train trainer.precision=",
            ["trainer.precision=32-true", "trainer.precision=bf16-mixed"],
        ),
        (
            "fae train experiment=best/",
            [f"experiment=best/{n}" for n in (64, 128, 256, 512)],
        ),
        ("fae train experiment=best/5", ["experiment=best/512"]),
        ("fae train -m experiment=dropout experiment=l", ["experiment=lr"]),
        ("fae search search.sampler=g", ["search.sampler=grid", "search.sampler=gp"]),
        ("fae report whe", ["where="]),
        ("fae sync tracking.u", ["tracking.uri="]),
        ("fae completion ", ["bash", "zsh", "fish"]),
        ("fae train no.such.key=3 hid", []),
        ("fae trian hid", []),
    ],
)
def test_a_line_is_completed(
    line: str,
    offered: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    try:
        told("-sc", "query=bash")
    except SystemExit:
        assert not offered
    out, err = capsys.readouterr()
    assert (out.split(), err) == (offered, "")


BASH = """
eval "$(fae completion bash)"
COMP_LINE="fae train epo" COMP_WORDS=(fae train epo) COMP_CWORD=2
hydra_bash_completion
echo "${COMPREPLY[@]}"
complete -p fae
"""


def test_bash_completes_it(tmp_path: Path) -> None:
    """By the code that it prints, in a real bash."""
    program = tmp_path / "fae"
    program.write_text(f"#!{sys.executable}\nfrom fae.__main__ import main\nmain()\n")
    program.chmod(0o755)
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH],
        env={**environment("unused"), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == [
        "epochs=",
        "complete -o default -o nospace -F hydra_bash_completion fae",
    ]


def test_each_shell_gets_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in completion.SHELLS:
        told("completion", shell)
        code = capsys.readouterr().out
        assert "-sc query=" in code
        assert ("bashcompinit" in code) == (shell == "zsh")

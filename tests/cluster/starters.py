"""Run on a host: starts several commands at the same moment, once each round.

python -m cluster.starters FOLDER ROUNDS COMMAND...

A round begins, on all hosts at once, when ``FOLDER/go.ROUND`` appears; how its commands ended is
then in ``FOLDER/HOST.ROUND``, one JSON list of exit code and output per line. The name of the
round is that of the experiment.
"""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import forking

AT_ONCE = 5


def start(round_: int, command: list[str]) -> list["subprocess.Popen[str]"]:
    """The commands of a round, each in a folder of its own."""
    processes = []
    for number in range(AT_ONCE):
        folder = Path.cwd() / f"{round_}-{number}"
        folder.mkdir()
        processes.append(
            forking.Popen(
                [sys.executable, "-m", *command],
                cwd=folder,
                env={**os.environ, "MLFLOW_EXPERIMENT_NAME": f"round {round_}"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    return processes


def main(folder: Path, rounds: int, command: list[str]) -> None:
    forking.run([sys.executable, "-c", "pass"])  # imports the libraries
    for round_ in range(rounds):
        (folder / f"{platform.node()}.ready.{round_}").touch()
        while not (folder / f"go.{round_}").exists():
            time.sleep(0.002)
        ended = [(process.communicate()[0], process) for process in start(round_, command)]
        lines = [json.dumps([process.returncode, said]) for said, process in ended]
        part = folder / f".{platform.node()}.{round_}"
        part.write_text("\n".join(lines))
        part.rename(folder / f"{platform.node()}.{round_}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])

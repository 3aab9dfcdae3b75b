"""Write what was measured on each machine, docs/speed/*.json, as tables.

    python -m benchmarks.tables

writes docs/speed/table.md, a section per machine, and prints the short table of the README. A
ratio is always one time over another: below 1, the first is the shorter. What a file does not
hold is left out.
"""

import json
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.peers import PEERS, Floor

DOCS = Path(__file__).resolve().parents[1] / "docs"
SPEED = DOCS / "speed"
SCOPES = {"train_s": "Training pass", "epoch_s": "Epoch with both evaluations"}
PRODUCTS = ("products by oneDNN", "products by PyTorch")
QUICKER = "products, each by the quicker library"
ROWS = (*PRODUCTS, QUICKER, *(name for name in PEERS if name not in PRODUCTS))

RATIOS = (
    (QUICKER, "fae", "epoch_s"),
    ("fae", "plain loop", "epoch_s"),
    ("fae", "JAX, compiled scan", "epoch_s"),
    ("torchvision and loop, 0 workers", "fae, bf16-mixed", "epoch_s"),
    ("fae", "plain loop", "train_s"),
    ("fae, bf16-mixed", "plain loop", "train_s"),
)
"""One time over another's, of what."""

AGREE = {
    "fae": ("plain loop", 0.05),
    "fae, bf16-mixed": ("fae", 0.01),
    "fae, no dropout": ("scikit-learn, no dropout", 0.05),
    "scikit-learn, no dropout": ("fae, no dropout", 0.05),
}
"""Whose test errors a peer's must come close to, and how close; by default fae's, within 5 %, as
seeds differ by 2 %."""

FRAMEWORK = (
    "Hydra and the sweep",
    "run around the training",
    "MLflow",
    "Lightning",
    "history and progress",
    "checkpoints",
    "collecting garbage",
)
"""The parts of a sweep that are neither computing nor reading, drawing or reporting."""

PLACES = ("shares", "beside")
BARE = "importing torch and Lightning"
FIRST_BATCH = "start to first batch"


def main(folder: Path = SPEED) -> None:
    """Write the tables of all machines."""
    machines = read(folder)
    (folder / "table.md").write_text(report(machines))
    print(report(machines), summary(machines), sep="\n")


def read(folder: Path = SPEED) -> list[dict[str, Any]]:
    """What was measured on each machine, and of each network the quicker library's products."""
    machines = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    for measured in machines:
        for at in measured["epochs"].values():
            at[QUICKER] = {
                scope: min((at[name][scope] for name in PRODUCTS), key=median)
                for scope in SCOPES
                if all(scope in at[name] for name in PRODUCTS)
            }
    return machines


def report(machines: list[dict[str, Any]]) -> str:
    """A section per machine, in Markdown."""
    parts = ["# Speed, by machine", "Written by `make bench` from the files beside this one."]
    for measured in machines:
        facts = "; ".join(f"{key}: {value}" for key, value in measured["machine"].items())
        parts += [f"## {title(measured)}", f"{facts}.", measured["method"]]
        parts += epochs(measured["epochs"])
        parts += commands(measured["commands"]) if "commands" in measured else []
        parts += sweep(measured["sweep"]) if "sweep" in measured else []
    return "\n\n".join(parts) + "\n"


def summary(machines: list[dict[str, Any]]) -> str:
    """The table of the README: epochs with both evaluations, summed over the networks."""
    columns = [f"{title(measured)}, {measured['machine']['date']} [s]" for measured in machines]
    rows = [["", *(cell for column in columns for cell in (column, "time / fae's"))]]
    for name in ROWS:
        everywhere = [measured["epochs"] for measured in machines]
        sums = [total(found, name, "epoch_s") for found in everywhere]
        ratios = [over_fae(found, name, "epoch_s") for found in everywhere]
        pairs = zip(sums, ratios, strict=True)
        rows.append([name, *(cell for s, r in pairs for cell in (s, r if s else ""))])
    return table(rows)


def title(measured: dict[str, Any]) -> str:
    """A machine's processor and instruction set."""
    return f"{measured['machine']['processor']}, {measured['machine']['instruction set']}"


def epochs(found: dict[str, Any]) -> list[str]:
    """The peers beside each other: times, their ratios, test errors."""
    sizes = [f"n = {n}" for n in found]
    parts = []
    for scope, heading in SCOPES.items():
        rows = [["[s]", *sizes, "sum", "time / fae's"]]
        for name in ROWS:
            cells = [spread(at.get(name, {}).get(scope)) for at in found.values()]
            rows.append([name, *cells, total(found, name, scope), over_fae(found, name, scope)])
        parts += captioned(heading, rows)
    rows = [["one time / another", *sizes, "all"]]
    for one, other, scope in RATIOS:
        columns = [*({n: at} for n, at in found.items()), found]
        cells = [ratio(column, one, other, scope) for column in columns]
        rows.append([f"{one} / {other}, {SCOPES[scope].lower()}", *cells])
    parts += captioned("Ratios", rows)
    rows = [["test error", *sizes, "agrees"]]
    for name in ROWS:
        errors = [at.get(name, {}).get("test_mse") for at in found.values()]
        apart, agrees = agreement(found, name)
        if any(errors):
            cells = ["" if error is None else f"{error:.4f}" for error in errors]
            rows.append([name, *cells, f"{'yes' if agrees else 'no'}, {apart:.1%}"])
    parts += captioned("Equal work, test errors at the end of a round (medians)", rows)
    for name in PRODUCTS:
        speeds = (Floor.operations(int(n)) / s for n, s in medians(found, name, "epoch_s").items())
        parts.append(f"The {name} reach {', '.join(f'{s / 1e9:.0f}' for s in speeds)} GFLOP/s.")
    first = next(iter(found.values()))
    refused = {name: peer["refused"] for name, peer in first.items() if "refused" in peer}
    return parts + [f"Refused, {name}: {why}" for name, why in refused.items()]


def commands(found: dict[str, float]) -> list[str]:
    """Whole commands, and how long the first batch has to be waited for."""
    parts = [table([["whole command", "s"], *([name, f"{s:.2f}"] for name, s in found.items())])]
    if BARE in found:
        times = found[FIRST_BATCH] / found[BARE]
        parts.append(f"{FIRST_BATCH.capitalize()} takes {times:.2f} times as long as {BARE} alone.")
    return parts


def sweep(found: dict[str, Any]) -> list[str]:
    """Where the time of the paper's sweep goes, and its memory."""
    framework = sum(found[where].get(part, 0) for where in PLACES for part in FRAMEWORK)
    rows = [["the paper's sweep", "s", "share"]]
    for name, seconds in [
        *found["shares"].items(),
        ("in all", found["seconds"]),
        *((f"beside it, in other threads: {part}", s) for part, s in found["beside"].items()),
        (f"of it all the framework ({', '.join(FRAMEWORK)})", framework),
    ]:
        rows.append([name, f"{seconds:.2f}", f"{seconds / found['seconds']:.1%}"])
    return [table(rows), f"Its memory peaks at {found['peak_mib']:.0f} MiB."]


def medians(found: dict[str, Any], name: str, scope: str) -> dict[str, float]:
    """A peer's seconds, by network, where they are known."""
    return {n: median(at[name][scope]) for n, at in found.items() if scope in at.get(name, {})}


def total(found: dict[str, Any], name: str, scope: str) -> str:
    """The sum over the networks, if all are known."""
    known = medians(found, name, scope)
    return f"{sum(known.values()):.2f}" if len(known) == len(found) else ""


def ratio(found: dict[str, Any], one: str, other: str, scope: str) -> str:
    """A peer's time over another's, summed over the networks where both are known."""
    above, below = medians(found, one, scope), medians(found, other, scope)
    both = above.keys() & below.keys()
    return f"{sum(above[n] for n in both) / sum(below[n] for n in both):.2f}" if both else ""


def over_fae(found: dict[str, Any], name: str, scope: str) -> str:
    """A peer's time over fae's, unless the test errors differ; with dropout as there."""
    ours = "fae, no dropout" if name == "scikit-learn, no dropout" else "fae"
    over = ratio(found, name, ours, scope)
    return "errors differ" if over and not agreement(found, name)[1] else over


def agreement(found: dict[str, Any], name: str) -> tuple[float, bool]:
    """How far a peer's test errors are from those that they must agree with, and if they do.

    Errors that are not known do not differ.
    """
    reference, bound = AGREE.get(name, ("fae", 0.05))
    errors = [
        [at.get(peer, {}).get("test_mse") for peer in (name, reference)] for at in found.values()
    ]
    apart = [abs(theirs / ours - 1) for theirs, ours in errors if theirs and ours]
    return max(apart, default=0.0), max(apart, default=0.0) < bound


def spread(seconds: list[float] | None) -> str:
    """The median, and the quartiles where they are known."""
    if seconds is None:
        return ""
    quartiles = f" ({seconds[0]:.3f} to {seconds[-1]:.3f})" if len(seconds) > 1 else ""
    return f"{median(seconds):.3f}{quartiles}"


def captioned(caption: str, rows: list[list[str]]) -> list[str]:
    """A table under its caption, if it has rows."""
    return [f"{caption}:\n\n{table(rows)}"] if any(any(row[1:]) for row in rows[1:]) else []


def table(rows: list[list[str]]) -> str:
    """Rows, the first of them the heading, in Markdown; without those that are empty."""
    heading, *others = rows
    lines = [heading, ["---"] * len(heading), *(row for row in others if any(row[1:]))]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


if __name__ == "__main__":
    main()

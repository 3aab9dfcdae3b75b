"""Errors of a network as a table for a terminal, and as records for a file."""

from collections.abc import Sequence

from fae.analysis.evaluation import EVERY, SIGMA, WINDOW, ErrorRow
from fae.drawing.tables import Columns
from fae.runtime.formatting import format_error, format_with_interval
from fae.runtime.intervals import Estimate

HEADINGS = {"mse": "MSE", "psnr": "PSNR, dB", "ssim": "SSIM"}
DECIMALS = {"psnr": 2, "ssim": 4}
MEANINGS = {
    "mse": "MSE: mean squared error per pixel, pixels from 0 to 1; not clipped to that range.",
    "psnr": "PSNR: 10 log10(1 / MSE) of each image, then the mean.",
    "ssim": "SSIM: structural similarity (Wang et al. 2004), range of data 1, Gaussian window of "
    f"{WINDOW} x {WINDOW} pixels with standard deviation {SIGMA}, where it lies in the image.",
}
INTERVALS = (
    "After ± is half of the 95 % interval of the mean over images, of this one network; there is "
    "none for images that it was trained on."
)


def terminal(rows: Sequence[ErrorRow]) -> Columns:
    """The table, a row for all images of a split and for each class."""
    table = {
        "images": [row.split if row.shows == EVERY else f"  {row.shows}" for row in rows],
        "n": [str(row.n) for row in rows],
    }
    smallest = min(row.means["mse"].mean for row in rows)
    for name in rows[0].means:
        cells = [_cell(name, row.means[name], smallest) for row in rows]
        table[HEADINGS[name]] = cells
    return table


def _cell(name: str, found: Estimate, smallest: float) -> str:
    if name == "mse" and found.half is not None:
        return format_with_interval(found.mean, found.half, smallest)
    if name == "mse":
        return format_error(found.mean)
    decimals = DECIMALS[name]
    interval = "" if found.half is None else f" ± {found.half:.{decimals}f}"
    return f"{found.mean:.{decimals}f}{interval}"


def notes(rows: Sequence[ErrorRow]) -> list[str]:
    """What the columns are."""
    meanings = [MEANINGS[name] for name in rows[0].means]
    if "ssim" not in rows[0].means:
        meanings.append(f"SSIM: needs images of {WINDOW} x {WINDOW} pixels.")
    return [*meanings, INTERVALS]


def records(rows: Sequence[ErrorRow]) -> list[dict[str, object]]:
    """The table with full precision, and the ends of the intervals."""
    return [
        {
            "images": row.split,
            "class": row.shows,
            "n": row.n,
            **{
                f"{name}{end}": value
                for name, found in row.means.items()
                for end, value in {"": found.mean, "_low": found.low, "_high": found.high}.items()
            },
        }
        for row in rows
    ]

"""Where fae's own files lie, whether it runs from a checkout or is installed."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def configuration(package: Path = PACKAGE) -> Path:
    """The folder of the configuration: in a checkout ``conf/``, in a wheel within the package.

    Beside an installed package, a folder of that name is somebody else's.
    """
    within = package / "conf"
    return within if within.is_dir() else package.parent / "conf"


def checkout(package: Path = PACKAGE) -> Path | None:
    """The root of the checkout; None if fae is installed from a wheel."""
    root = package.parent
    return root if configuration(package).parent == root else None

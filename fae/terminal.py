"""Lines on the terminal."""

from rich import get_console


def say(line: str) -> None:
    """Print a line as it is: not wrapped, and no part of it taken for markup."""
    get_console().print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)

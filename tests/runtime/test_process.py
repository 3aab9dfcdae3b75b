"""The process of a command."""

import subprocess
import sys

import pytest
from conftest import PROJECT


@pytest.mark.long
def test_no_import_is_slowed_down_by_looking_for_garbage_in_all_before_it() -> None:
    code = (
        "from fae.runtime import process\n"
        "process.begin()\n"
        "import gc, pytorch_lightning\n"
        "print(gc.isenabled(), gc.get_stats()[-1]['collections'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    assert done.stdout == "True 0\n"

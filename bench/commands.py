"""The command as a user meets it: a fresh process, an empty cache folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measuring import Row, seconds
from oom_spec.language.errors import SpecError

START = "from oomspec.main import main; main()"


def run(*arguments: str, cache: str = "") -> None:
    """Run ``oomspec`` with ``arguments`` in a process of its own, with an empty cache unless one is given.

    Raises `SpecError` where it fails: the time of a failure is no measurement.
    """
    script = Path(sys.executable).with_name("oomspec")
    command = [str(script)] if script.exists() else [sys.executable, "-c", START]
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            [*command, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "OOMSPEC_CACHE": cache or empty},
        )
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise SpecError(f"`oomspec {' '.join(arguments)}` ended with status {done.returncode}: {last}")


def rows(rounds: int) -> list[Row]:
    """Start time, and the first answer that a newcomer asks for."""
    return [
        Row("oomspec --help", seconds(lambda: run("--help"), rounds), "s", 0.3),
        Row("oomspec explain v4.12 N1s", seconds(lambda: run("explain", "v4.12", "N1s"), rounds), "s", 3.0),
    ]

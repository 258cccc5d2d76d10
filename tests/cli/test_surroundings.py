"""The command in rough surroundings: Ctrl-C, dead workers, closed pipes, full disks, no terminal, no solver."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from .running import Started, on_terminal, shell

NEEDS_NO_SOLVER = (
    "--help",
    "eras",
    "properties",
    "scenarios",
    "show E5 mmu_notifier",
    "explore E4 --scenario marked",
    "explain E4 N1s --scenario marked",
    "export aiger E4 marked N1s",
)
MISSING = "raise ImportError('stub')\n"
OLD = "def get_version(): return (4, 8, 1, 0)\ndef get_version_string(): return '4.8.1'\n"
VIOLATED = "N1s         violated at 20\n    marked            violated at 20\n"
INTERRUPTED = "oomspec: interrupted: what was not decided is unknown"


# -- interrupts ------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", ["check E5 all --method explore", "explore E5"])
def test_an_interrupt_is_one_line_and_unknown(arguments: str) -> None:
    started = Started(*arguments.split())
    if arguments.startswith("check"):
        started.workers()
        time.sleep(0.3)
    else:
        started.working()
    started.interrupt()
    done = started.end()
    assert (done.status, done.err.strip()) == (3, INTERRUPTED)


def test_an_interrupted_matrix_keeps_what_is_done_and_leaves_no_worker() -> None:
    started = Started("matrix", "E4", "--property", "N1s", "--jobs", "1", "--z3-seconds", "0")
    started.workers()
    time.sleep(0.5)
    started.interrupt()
    done = started.end()
    assert (done.status, done.err.strip()) == (3, INTERRUPTED)
    assert done.out.splitlines()[1].startswith("E4 (v4.9 - v4.12)  ")
    assert "unknown" in done.out
    assert not started.has_orphans()


def test_a_killed_worker_of_claims_is_one_line_and_unknown() -> None:
    started = Started("claims", "--jobs", "1", "--z3-seconds", "0")
    (worker,) = started.workers()
    os.kill(worker, signal.SIGKILL)
    done = started.end()
    message = "oomspec: a worker process died: the claims are unknown; try again with `--jobs 1`\n"
    assert (done.status, done.out, done.err) == (3, "", message)


# -- streams ---------------------------------------------------------------------------------


def test_a_closed_pipe_is_silent_and_no_verdict(tmp_path: Path) -> None:
    """Status 141 is what a program has that SIGPIPE ends; 1 would read as `violated`."""
    done = shell('(sleep 1; oomspec eras) | true; echo "${PIPESTATUS[0]}"', tmp_path)
    assert (done.status, done.out, done.err) == (0, "141\n", "")


def test_the_head_of_a_diagram_is_its_first_line(tmp_path: Path) -> None:
    done = shell("oomspec explain E4 N1s --scenario marked | head -1", tmp_path)
    assert done.out.startswith("E4 (v4.9 - v4.12), scenario marked: N1s is violated at depth 20")
    assert done.err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    done = shell("oomspec eras > /dev/full", tmp_path)
    assert (done.status, done.err) == (2, "oomspec: cannot write the output: No space left on device\n")


def test_closed_standard_streams_do_no_harm(tmp_path: Path) -> None:
    done = shell("oomspec scenarios <&- >&- 2>&-", tmp_path)
    assert (done.status, done.out, done.err) == (0, "", "")
    done = shell("oomspec replay - --era E5 <&-", tmp_path)
    message = "oomspec: the file is empty: expected a race diagram, or one call per line\n"
    assert (done.status, done.out, done.err) == (2, "", message)


def test_a_file_gets_no_colour_and_no_progress(tmp_path: Path) -> None:
    done = shell("oomspec check E4 N1s --scenario marked --method explore <&- > verdict.txt", tmp_path)
    assert (done.status, done.err) == (1, "")
    assert (tmp_path / "verdict.txt").read_text("utf-8") == VIOLATED


def test_a_terminal_gets_colour_unless_it_is_refused() -> None:
    shown = ("show", "E4", "cmpxchg")
    assert "\x1b[1m" in on_terminal(*shown, TERM="xterm")
    assert "\x1b[" not in on_terminal(*shown, TERM="xterm", NO_COLOR="1")
    assert "\x1b[" not in on_terminal(*shown, TERM="dumb")


def test_without_colour_the_progress_display_has_none_either() -> None:
    checked = ("check", "E4", "N1s", "--scenario", "marked", "--method", "explore")
    assert "\x1b[3" in on_terminal(*checked, TERM="xterm")
    assert "\x1b[3" not in on_terminal(*checked, TERM="xterm", NO_COLOR="1")
    assert on_terminal(*checked, TERM="dumb") == VIOLATED.replace("\n", "\r\n")


# -- the solver ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stub", "message"),
    [
        (MISSING, "z3 is not installed: `pip install z3-solver`, or run `make prove`, which installs it"),
        (OLD, "z3 4.8.1 is too old: install z3-solver "),
    ],
    ids=["missing", "old"],
)
def test_what_needs_no_solver_works_without_one_and_the_rest_says_what_to_do(
    tmp_path: Path, stub: str, message: str
) -> None:
    (tmp_path / "z3").mkdir()
    (tmp_path / "z3" / "__init__.py").write_text(stub, "utf-8")
    lines = [f"oomspec {command} > out.txt || echo {command}" for command in NEEDS_NO_SOLVER]
    lines.append("oomspec explain E4 N1s --scenario marked | oomspec replay - --era E4 > out.txt || echo replay")
    done = shell("\n".join(lines), tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.status, done.out, done.err) == (0, "", "")
    asked = shell("oomspec check E4 N1s --scenario marked", tmp_path, PYTHONPATH=str(tmp_path))
    assert (asked.status, asked.out, asked.err.count("\n")) == (2, "", 1)
    assert asked.err.startswith(f"oomspec: {message}")


PROBE = """import sys
from oomspec.main import main
sys.argv = ["oomspec", "--help"]
try:
    main()
except SystemExit as left:
    heavy = {"z3", "hypothesis", "rich", "pytest", "oom_spec", "oom_smt"} & set(sys.modules)
    print(left.code, sorted(heavy), file=sys.stderr)
"""


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PROBE, "utf-8")
    done = shell(f'"{sys.executable}" probe.py', tmp_path)
    assert (done.out.splitlines()[0], done.err) == ("Usage: oomspec [OPTIONS] COMMAND [ARGS]...", "0 []\n")

"""What a logbook says is what was asked for last, whatever becomes of who wrote it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from oom_conformance import logbook
from oom_conformance.logbook import Logbook, Noted, read


def test_it_says_what_was_noted_since_the_last_reset(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with Logbook(file) as log:
        assert read(file) == Noted()
        log.begin()
        assert read(file) == Noted()
        for action in ("a(x)", "b(ü)", "a(x)"):
            log.note(action)
        assert read(file) == Noted(("a(x)", "b(ü)", "a(x)"))
        log.begin()
        log.note("c(x)")
    assert read(file) == Noted(("c(x)",)), "what the longer run has left is none of it"


def test_it_outlives_a_process_that_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "log"
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom oom_conformance.logbook import Logbook\n"
        "log = Logbook(Path(sys.argv[1]))\nlog.begin()\nlog.note('a(x)')\nlog.note('b(x)')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(file)], check=False, timeout=60).returncode == -9
    assert read(file) == Noted(("a(x)", "b(x)"))


@pytest.mark.parametrize(("bound", "kept"), [("SLOTS", 7), ("NAMES", 4)])
def test_where_there_is_no_more_room_the_beginning_is_kept_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, kept: int
) -> None:
    monkeypatch.setattr(logbook, bound, 8)
    file = tmp_path / "log"
    with Logbook(file) as log:
        for length in (kept - 1, kept + 1, kept + 5):
            log.begin()
            for number in range(length):
                log.note(str(number % 10))
            expected = tuple(str(number % 10) for number in range(min(length, kept)))
            assert read(file) == Noted(expected, whole=length < kept)


def test_what_is_no_logbook_says_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "missing") == Noted()
    (tmp_path / "short").write_bytes(b"\1" * 100)
    assert read(tmp_path / "short") == Noted()


def test_a_place_without_room_is_an_error_and_not_the_end_of_the_process() -> None:
    with pytest.raises(OSError, match="No space left"):
        Logbook(Path("/dev/full"))

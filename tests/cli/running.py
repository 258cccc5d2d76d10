"""The command as a process of its own, started as a user starts it."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "oomspec")
LONGEST = 60.0
"""Seconds after which a command counts as hanging."""


@attrs.frozen
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """The environment of a command: it finds what this process finds, after the folders in ``PYTHONPATH``."""
    found = [more.pop("PYTHONPATH", ""), *(path for path in sys.path if path)]
    kept = {name: value for name, value in os.environ.items() if name not in ("TERM", "NO_COLOR", "FORCE_COLOR")}
    return {**kept, **more, "PYTHONPATH": os.pathsep.join(path for path in found if path)}


def shell(script: str, folder: Path, **more: str) -> Done:
    """Run a bash script in which ``oomspec`` is the command."""
    start = f'set -o pipefail; oomspec() {{ "{sys.executable}" -m oomspec "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-c", start + script],  # noqa: S607 - bash, wherever it is
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def on_terminal(*arguments: str, **more: str) -> str:
    """What a command writes where standard output and standard error are one terminal."""
    mine, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, *arguments], env=environment(**more), stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while piece := os.read(mine, 4096):
            written += piece
    os.close(mine)
    process.wait(LONGEST)
    return written.decode("utf-8")


def listens_to_ctrl_c() -> None:
    """As in a terminal, also where the tests run in the background, which has their children ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Started:
    """A command that is still running, in a process group of its own."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=listens_to_ctrl_c,  # noqa: PLW1509 - the tests have no threads
        )

    def workers(self) -> list[int]:
        """The processes that it has started, once there is one."""
        ends = time.monotonic() + LONGEST
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        while time.monotonic() < ends and self.process.poll() is None:
            found = [int(number) for number in children.read_text("ascii").split()]
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError("the command has started no worker")

    def working(self) -> None:
        """Wait until it has imported what it needs: it then takes processor time of its own."""
        stat = Path(f"/proc/{self.process.pid}/stat")
        tick = os.sysconf("SC_CLK_TCK")
        ends = time.monotonic() + LONGEST
        while time.monotonic() < ends and int(stat.read_text("ascii").rsplit(")", 1)[1].split()[11]) < tick:
            time.sleep(0.02)

    def interrupt(self) -> None:
        """Ctrl-C: the whole group gets SIGINT."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> Done:
        """Wait for its end."""
        out, err = self.process.communicate(timeout=LONGEST)
        return Done(self.process.returncode, out, err)

    def has_orphans(self) -> bool:
        """Whether a process of its group is left."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True

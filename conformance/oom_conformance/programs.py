"""A program in any language as an implementation: JSON lines over its standard input and output.

One request is one line with one JSON object, and so is its reply; `docs/programs.md` has the messages, and
``schemas/program-1.schema.json`` beside this module says the same for machines. The reply to ``reset`` and
``run`` brings what can run and what is seen, and what the program's own checks have found if it has said that
it has such, so that a step costs one round trip.

Whatever a program does other than that (hang, crash, end, chatter, another version) is one
`ImplementationError` of one line. The program is killed then, with everything that it has started; the next
`Program.reset` starts it anew.
"""

from __future__ import annotations

import json
import math
import os
import select
import shlex
import signal
import subprocess
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, NoReturn, Self, cast

from oom_conformance.interface import VERSION, Capabilities, ImplementationError, Value
from oom_spec.language import SpecError

LONGEST_LINE = 16 * 2**20
"""Bytes that one reply may have."""

GRACE = 1.0
"""Seconds in which a program ends by itself, once its standard input is closed."""

_CHUNK = 2**16
_TAIL = 2**12
_SHOWN = 300
_VALUES = frozenset({bool, int, str})


class Program:
    """An implementation behind a command. A context manager; without `close`, the program ends with this object."""

    def __init__(self, command: str, *, timeout: float = 10.0) -> None:
        """``command``: split as a shell would, and run without one. ``timeout``: seconds for each reply.

        Raises `SpecError` for a command that is none; the program starts with the first call.
        """
        try:
            self._words = shlex.split(command)
        except ValueError as problem:
            raise SpecError(f"the command {command!r} cannot be split into words: {problem}") from problem
        if not self._words:
            raise SpecError("the command of an implementation is empty: give a program and its arguments")
        if not (timeout > 0 and math.isfinite(timeout)):
            raise SpecError(f"the time limit for a reply is {timeout:g} s: give a number of seconds above 0")
        self.timeout = timeout
        self._child: _Child | None = None
        self._capabilities: Capabilities | None = None
        self._names: tuple[str, ...] = ()
        self._runnable: tuple[str, ...] = ()
        self._seen: tuple[Value, ...] = ()
        self._reports: tuple[str, ...] = ()

    # -- the protocol of the suite -----------------------------------------------------------

    def capabilities(self) -> Capabilities:
        """What the program says of itself, in its reply to ``hello``."""
        if self._capabilities is None:
            self._started()
        return cast(Capabilities, self._capabilities)

    def reset(self, era: str, world: Mapping[str, Any]) -> Sequence[str]:
        """Put the program into ``world``; starts it if it does not run."""
        child = self._started()
        reply = child.ask("reset", {"era": era, "world": world}, self.timeout)
        self._names = child.texts(reply, "names")
        self._look(child, reply)
        return self._names

    def runnable(self) -> Sequence[str]:
        """What the last reply said can run."""
        self._running()
        return self._runnable

    def run(self, action: str) -> None:
        """Have the program take ``action``."""
        child = self._running()
        self._look(child, child.ask("run", {"action": action}, self.timeout))

    def observe(self) -> Sequence[Value]:
        """What the last reply said is seen."""
        self._running()
        return self._seen

    def reports(self) -> Sequence[str]:
        """What the last reply said its own checks have found since the reset; nothing where it does not claim them."""
        self._running()
        return self._reports

    # -- the program's life ------------------------------------------------------------------

    def close(self) -> None:
        """End the program: its standard input is closed, and after `GRACE` seconds it is killed."""
        if self._child is not None:
            self._child.end(GRACE)
            self._child = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _started(self) -> _Child:
        """The running program, which has said hello."""
        if self._child is None or self._child.ended:
            child = self._child = _Child(self._words)
            self._capabilities = child.greet(self.timeout)
        return self._child

    def _running(self) -> _Child:
        if self._child is None or self._child.ended:
            raise ImplementationError("the program does not run: reset starts it")
        return self._child

    def _look(self, child: _Child, reply: dict[str, object]) -> None:
        self._runnable = child.texts(reply, "runnable")
        self._seen = child.values(reply, "observe", len(self._names))
        self._reports = child.found(reply) if child.reports else ()


class _Child:
    """One run of the program."""

    def __init__(self, words: Sequence[str]) -> None:
        try:
            process = subprocess.Popen(  # noqa: S603 - running the user's command is what this is for
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except (OSError, ValueError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else problem
            raise SpecError(f"the program {words[0]!r} cannot be started: {reason}") from problem
        self._process = process
        self._stdin, self._stdout, self._stderr = (
            _unblocked(each) for each in (process.stdin, process.stdout, process.stderr)
        )
        self._poll = select.poll()
        self._poll.register(self._stdout, select.POLLIN)
        self._poll.register(self._stderr, select.POLLIN)
        self._noise = b""
        self._questions = 0
        self.reports = False
        """It has said that its replies bring what its own checks have found."""
        self._owner = os.getpid()
        self._end = weakref.finalize(self, _ended, process, self._owner, 0.0)

    @property
    def ended(self) -> bool:
        """It was killed, or asked to end."""
        return not self._end.alive

    def end(self, grace: float) -> None:
        """End it, and everything that it has started and that stayed in its process group."""
        if self._end.detach() is not None:
            _ended(self._process, self._owner, grace)

    def fail(self, what: str) -> NoReturn:
        """Kill it, and say what it did."""
        self._drain()
        self.end(0.0)
        last = _last_lines(self._noise)
        raise ImplementationError(what + (f"; last on its standard error: {last}" if last else ""))

    # -- messages ----------------------------------------------------------------------------

    def greet(self, timeout: float) -> Capabilities:
        """Say hello, and check the answer."""
        reply = self.ask("hello", {"protocol": VERSION}, timeout)
        version = reply.get("protocol")
        if type(version) is not int:
            self.fail("the reply to hello has no number 'protocol'")
        if version != VERSION:
            self.fail(f"the program speaks version {version} of the protocol, the suite speaks version {VERSION}")
        name = reply.get("name")
        if not isinstance(name, str) or not name.isprintable() or not name:
            self.fail("the reply to hello has no printable text 'name'")
        eras, scenarios, observes = (
            None if reply.get(key) is None else self.texts(reply, key) for key in ("eras", "scenarios", "observes")
        )
        reports = reply.get("reports", False)
        if type(reports) is not bool:
            self.fail(f"'reports' in the reply to hello is {_json_name(reports)}, not a truth value")
        self.reports = reports
        return Capabilities(name, version, eras, scenarios, observes)

    def ask(self, call: str, facts: Mapping[str, Any], timeout: float) -> dict[str, object]:
        """One round trip."""
        self._questions += 1
        request = {"id": self._questions, "call": call, **facts}
        line = self._exchange(json.dumps(request, separators=(",", ":")).encode("ascii") + b"\n", timeout)
        try:
            reply: object = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as problem:
            reason = problem.msg if isinstance(problem, json.JSONDecodeError) else _one_line(str(problem))
            self.fail(f"the reply is not JSON: {_excerpt(line)} ({reason})")
        if not isinstance(reply, dict):
            self.fail(f"the reply is not a JSON object: {_excerpt(line)}")
        answered = reply.get("id")
        if type(answered) is not int:
            self.fail(f"the reply has no number 'id': {_excerpt(line)}")
        if answered != self._questions:
            self.fail(f"the reply is to request {answered}, not to request {self._questions}: {_excerpt(line)}")
        error = reply.get("error")
        if error is not None:
            self.fail(f"the program reports an error: {_one_line(error if isinstance(error, str) else repr(error))}")
        return reply

    def texts(self, reply: Mapping[str, object], key: str) -> tuple[str, ...]:
        """A list of names in a reply."""
        found = reply.get(key)
        if not isinstance(found, list) or not all(type(each) is str for each in found):
            self.fail(f"{key!r} in the reply is {_kind(reply, key)}, not a list of texts")
        if not "".join(found).isprintable():
            odd = next(each for each in found if not each.isprintable())
            self.fail(f"{key!r} in the reply has a text that cannot be printed: {ascii(odd)[:_SHOWN]}")
        return tuple(found)

    def found(self, reply: Mapping[str, object]) -> tuple[str, ...]:
        """What the program's own checks have found, each as a part of our line."""
        found = self.texts(reply, "reports")
        if not all(map(str.strip, found)):
            self.fail("'reports' in the reply has an empty text")
        return tuple(map(_one_line, found))

    def values(self, reply: Mapping[str, object], key: str, count: int) -> tuple[Value, ...]:
        """A list of truth values, numbers and names in a reply."""
        found = reply.get(key)
        if not isinstance(found, list) or not _VALUES.issuperset(map(type, found)):
            self.fail(
                f"{key!r} in the reply is {_kind(reply, key)}, not a list of truth values, whole numbers and texts"
            )
        if len(found) != count:
            self.fail(f"{key!r} in the reply has {len(found)} values, not the {count} that reset named")
        if not "".join([each for each in found if type(each) is str]).isprintable():
            odd = next(each for each in found if type(each) is str and not each.isprintable())
            self.fail(f"{key!r} in the reply has a text that cannot be printed: {ascii(odd)[:_SHOWN]}")
        return tuple(found)

    # -- bytes -------------------------------------------------------------------------------

    def _exchange(self, request: bytes, timeout: float) -> bytes:
        """Write a line, read a line; whatever comes on standard error meanwhile is kept as far as it is the last."""
        deadline = time.monotonic() + timeout
        unsent = self._send(request)
        if unsent:
            self._poll.register(self._stdin, select.POLLOUT)
        answer = bytearray()
        while True:
            left = deadline - time.monotonic()
            ready = self._poll.poll(math.ceil(left * 1000)) if left > 0 else []
            if not ready:
                self.fail(f"no reply within {timeout:g} s, so the program was killed")
            for descriptor, _ in ready:
                if descriptor == self._stdin:
                    unsent = self._send(unsent)
                    if not unsent:
                        self._poll.unregister(self._stdin)
                elif descriptor == self._stderr:
                    self._hear()
                elif self._read_into(answer):
                    if unsent:
                        self._poll.unregister(self._stdin)
                    return bytes(answer)

    def _send(self, data: bytes) -> bytes:
        """Write what fits into the pipe; gives the rest. A program that has ended is found out by reading."""
        try:
            return data[os.write(self._stdin, data) :]
        except BlockingIOError:
            return data
        except BrokenPipeError:
            return b""

    def _hear(self) -> bool:
        """Read some of standard error; false where there is none just now."""
        try:
            noise = os.read(self._stderr, _CHUNK)
        except BlockingIOError:
            return False
        if not noise:
            self._poll.unregister(self._stderr)
            return False
        self._noise = (self._noise + noise)[-_TAIL:]
        return True

    def _drain(self) -> None:
        """Read what is left on standard error, a bounded amount."""
        with suppress(OSError, KeyError):
            for _ in range(64):
                if not self._hear():
                    return

    def _read_into(self, answer: bytearray) -> bool:
        """Read some of a reply; true if that was the end of it."""
        try:
            data = os.read(self._stdout, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self.fail(self._how_it_ended() + (" in the middle of a reply" if answer else ""))
        place = data.find(b"\n")
        if len(answer) + (place if place >= 0 else len(data)) > LONGEST_LINE:
            self.fail(f"the reply is a line of more than {LONGEST_LINE // 2**20} MiB: {_excerpt(answer)}")
        if place < 0:
            answer += data
            return False
        if place + 1 != len(data):
            self.fail(f"more than one line came for one request; the second begins {_excerpt(data[place + 1 :])}")
        answer += data[:place]
        return True

    def _how_it_ended(self) -> str:
        try:
            status = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            return "the program closed its standard output"
        if status >= 0:
            return f"the program ended with status {status}"
        try:
            return f"the program was ended by {signal.Signals(-status).name}"
        except ValueError:
            return f"the program was ended by signal {-status}"


def _unblocked(pipe: IO[bytes] | None) -> int:
    """The descriptor of a pipe, which from now on never makes anybody wait."""
    descriptor = cast(IO[bytes], pipe).fileno()
    os.set_blocking(descriptor, False)
    return descriptor


def _ended(process: subprocess.Popen[bytes], owner: int, grace: float) -> None:
    """Close the program's input, wait ``grace`` seconds for it to end, kill its process group, and collect it."""
    if os.getpid() != owner:
        return  # a fork of ours, which has no children to end
    pipes = [each for each in (process.stdin, process.stdout, process.stderr) if each is not None]
    pipes.pop(0).close()
    if grace > 0:
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    with suppress(ProcessLookupError, PermissionError):  # whoever is left in the group keeps its number taken
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in pipes:
        pipe.close()


def _one_line(text: str) -> str:
    """A text of the program's as a part of our line: nothing in it breaks the line or commands a terminal."""
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[: _SHOWN + 1])
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."


def _excerpt(line: bytes | bytearray) -> str:
    """The beginning of what should have been a reply."""
    begin = bytes(line[:80])
    return repr(begin.decode("utf-8", "backslashreplace")) + ("..." if len(line) > len(begin) else "")


def _last_lines(noise: bytes) -> str:
    """The last three lines of standard error, as one."""
    lines = [each for each in noise.decode("utf-8", "backslashreplace").splitlines() if each.strip()]
    text = " | ".join(_one_line(each.strip()) for each in lines[-3:])
    return text if len(text) <= _SHOWN else "..." + text[-_SHOWN:]


def _kind(reply: Mapping[str, object], key: str) -> str:
    """What stands in place of a list, or in it."""
    if key not in reply:
        return "missing"
    found = reply[key]
    if not isinstance(found, list):
        return _json_name(found)
    wanted = _VALUES if key == "observe" else {str}
    return f"a list with {_json_name(next(each for each in found if type(each) not in wanted))}"


def _json_name(value: object) -> str:
    names = {bool: "a truth value", int: "a whole number", float: "a number with a fraction", str: "a text"}
    return names.get(type(value), "null" if value is None else "a list" if isinstance(value, list) else "an object")


__all__ = ["GRACE", "LONGEST_LINE", "Program"]

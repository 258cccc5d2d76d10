"""Second opinions: what other solvers say to a question that z3 has answered.

Three are asked, and none is believed more than z3: cvc5 and bitwuzla read SMT-LIB text; ``drup`` has Glucose
answer the same question as clauses, and believes not Glucose but its log, read by our own checker. Each
solver runs in a process of its own with limits on time and memory. Who does not answer has not agreed,
and the reason is kept. Who answers otherwise stops everything: one of two solvers is wrong, or we are.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from oom_smt import second_solver
from oom_smt.cnf import clauses_of
from oom_smt.drup import OutOfTime, RefusedLog, check_log
from oom_smt.finite import Question
from oom_smt.reducing import NoFiniteForm, finite
from oom_smt.smtlib import smtlib
from oom_smt.z3_api import Answer
from oom_spec.language.errors import SpecError
from oom_spec.language.terms import Term

SECONDS = 20.0
"""Each solver's share for one question."""
MEGABYTES = 4096
"""Each solver's memory."""
OUT_OF_MEMORY = ("MemoryError", "bad_alloc", "OutOfMemory", "failed to map segment", "Cannot allocate memory")
"""What solvers and Python say when their memory ends."""
PACKAGES: Mapping[str, tuple[str, str]] = {
    "cvc5": ("cvc5", "cvc5"),
    "bitwuzla": ("bitwuzla", "bitwuzla"),
    "drup": ("pysat", "python-sat"),
}
"""Who can be asked, with the module and the package that it needs."""


class Disagreement(SpecError):  # noqa: N818 - the name says it
    """Two solvers answer one question differently: nothing that either says can be believed."""


@attrs.frozen
class Reply:
    """What one of them said."""

    answer: Answer | None
    """None where there is no answer."""
    by: str = ""
    """Who answered, with the version: ``cvc5 1.2.0``."""
    reason: str = ""
    """Why there is no answer."""


@attrs.frozen
class Opinions:
    """Who agreed with z3."""

    checked_by: tuple[str, ...]
    """Those who gave the same answer, with versions; never z3 itself."""
    not_rechecked: dict[str, str]
    """Those who gave none, and why."""


def second_opinions(
    assertions: Sequence[Term],
    header: Mapping[str, str],
    seconds: float = SECONDS,
    who: Sequence[str] = tuple(PACKAGES),
    expected: Answer = Answer.UNSAT,
) -> Opinions:
    """Ask ``who`` whether ground ``assertions`` can be true together, which z3 answered with ``expected``.

    ``header`` says what the question is: it is the comment of the SMT-LIB text. ``seconds``: for each.
    Raises `Disagreement` where somebody gives the other answer.
    """
    try:
        question = finite(assertions)
    except NoFiniteForm as refusal:
        return Opinions((), dict.fromkeys(who, str(refusal)))
    agreed, silent = [], {}
    for each in who:
        reply = ask(question, each, seconds, header)
        if reply.answer is None:
            silent[each] = reply.reason
        elif reply.answer is expected:
            agreed.append(reply.by)
        else:
            what = ", ".join(f"{name} {text}" for name, text in header.items())
            raise Disagreement(
                f"internal error: {reply.by} answers {reply.answer.value} where z3 answers {expected.value}: {what}; "
                "please report it"
            )
    return Opinions(tuple(agreed), silent)


def missing(name: str) -> str:
    """Why nobody of this name can be asked; empty if it can. Raises `SpecError` for a name that nobody has."""
    if name not in PACKAGES:
        raise SpecError(f"no second solver is called {name!r}; there are {', '.join(PACKAGES)}")
    module, package = PACKAGES[name]
    found = importlib.util.find_spec(module) is not None
    return "" if found else f"{package} is not installed: `pip install {package}`"


def ask(
    question: Question,
    name: str,
    seconds: float = SECONDS,
    header: Mapping[str, str] | None = None,
    megabytes: int = MEGABYTES,
) -> Reply:
    """Put one question to one of `PACKAGES`, with limits on its time and memory; for ``drup``, check the log too."""
    reason = missing(name)
    if reason:
        return Reply(None, reason=reason)
    package = PACKAGES[name][1]
    by = f"{name} {importlib.metadata.version(package)}" if name == package else f"{name} (Glucose 4)"
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="oomspec-") as folder:
        file, log = Path(folder) / "question", Path(folder) / "log"
        if name == "drup":
            clauses = clauses_of(question)
            file.write_text(clauses.dimacs(), "ascii")
            reply = _run([name, str(file), str(megabytes), str(log)], seconds, by)
            if reply.answer is not Answer.UNSAT:
                return reply
            return _checked(clauses.clauses, log.read_text("ascii"), seconds - (time.monotonic() - started), by)
        file.write_text(smtlib(question, header or {}), "utf-8")
        return _run([name, str(file), str(megabytes)], seconds, by)


def _checked(clauses: Sequence[Sequence[int]], log: str, seconds: float, by: str) -> Reply:
    """``unsat``, if the log shows it."""
    try:
        check_log(clauses, log, seconds)
    except OutOfTime:
        return Reply(None, by, "no time left to check the log")
    except RefusedLog as refusal:
        return Reply(None, by, f"its log is refused: {refusal}")
    return Reply(Answer.UNSAT, by)


def _run(arguments: list[str], seconds: float, by: str) -> Reply:
    try:
        done = subprocess.run(  # noqa: S603 - our own file, by our own Python
            [sys.executable, str(Path(second_solver.__file__)), *arguments],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Reply(None, by, f"no answer in {seconds:g} s")
    words = done.stdout.split()
    if done.returncode == 0 and len(words) == 1 and words[0] in ("sat", "unsat"):
        return Reply(Answer(words[0]), by)
    if done.returncode == 0 and words == ["unknown"]:
        return Reply(None, by, "gave up")
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    if any(sign in line for line in said for sign in OUT_OF_MEMORY):
        return Reply(None, by, f"no answer in {arguments[2]} MB")
    return Reply(None, by, f"crashed with status {done.returncode}" + (f": {said[-1][:200]}" if said else ""))


__all__ = ["Disagreement", "Opinions", "Reply", "ask", "missing", "second_opinions"]

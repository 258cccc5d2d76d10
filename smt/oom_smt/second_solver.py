"""One question to one solver, in a process of its own: `python second_solver.py SOLVER FILE MEMORY [LOG]`.

Prints ``sat``, ``unsat`` or ``unknown``. MEMORY is a limit in megabytes; time is limited by who started the process.
FILE is SMT-LIB for cvc5 and bitwuzla, and DIMACS for ``drup``, which also writes what it has learned to LOG.
This file imports nothing of ours, so the answer does not depend on our code.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def ask_cvc5(file: str) -> str:
    """The answer of cvc5 to the only `check-sat` of a file."""
    import cvc5

    solver = cvc5.Solver()
    parser = cvc5.InputParser(solver)
    parser.setFileInput(cvc5.InputLanguage.SMT_LIB_2_6, file)
    symbols = parser.getSymbolManager()
    answers = []
    while not (command := parser.nextCommand()).isNull():
        if command.getCommandName() != "set-info":  # told what to expect, cvc5 calls any other answer an error
            answers.append(str(command.invoke(solver, symbols)).strip())
    return next((answer for answer in answers if answer), "unknown")


def ask_bitwuzla(file: str) -> str:
    """The answer of bitwuzla."""
    import bitwuzla

    manager = bitwuzla.TermManager()
    parser = bitwuzla.Parser(manager, bitwuzla.Options())
    parser.parse(file, True)
    return str(parser.bitwuzla().check_sat()).lower().rpartition(".")[2]


def ask_glucose(file: str, log: str) -> str:
    """The answer of Glucose 4; what it has learned goes into ``log``."""
    from pysat.solvers import Glucose4

    lines = Path(file).read_text("ascii").splitlines()
    clauses = [[int(word) for word in line.split()[:-1]] for line in lines if not line.startswith(("p", "c"))]
    with Glucose4(bootstrap_with=clauses, with_proof=True) as solver:
        if solver.solve():
            return "sat"
        learned = list(solver.get_proof())
    if "0" not in learned:  # it found the clauses contradictory when it read them; the checker is not spared the work
        learned.append("0")
    Path(log).write_text("\n".join(learned) + "\n", "ascii")
    return "unsat"


def main(solver: str, file: str, memory: str, *log: str) -> None:
    """Ask, and print the answer."""
    limit = int(memory) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        if solver == "drup":
            answer = ask_glucose(file, *log)
        else:
            answer = {"cvc5": ask_cvc5, "bitwuzla": ask_bitwuzla}[solver](file)
    except Exception as error:
        if peak() > 0.9 * limit:  # cvc5 speaks of an unknown exception then
            raise MemoryError from error
        raise
    print(answer, flush=True)  # noqa: T201 - the answer


def peak() -> int:
    """The most memory, in bytes, that this process has had; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text("ascii").splitlines() if status.exists() else []
    return max((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmPeak:")), default=0)


if __name__ == "__main__":
    main(*sys.argv[1:])

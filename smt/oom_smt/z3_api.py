"""The one module that imports z3: a small typed surface over the parts that we use.

z3-solver has no type hints, so its values appear as the opaque type `Expr`. Nothing here ever turns
a z3 value into a Python truth value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, unique
from functools import cache
from typing import Any, NewType

from oom_spec.language.errors import SpecError

OLDEST = (4, 13, 4)
"""The oldest z3 release that the encodings were tried with; pyproject.toml asks for it too."""
INTERRUPTED = "interrupted from keyboard"
OUT_OF_MEMORY = "out of memory"

try:
    import z3
except ImportError:
    z3 = None


def need_z3() -> None:
    """Raises `SpecError`, saying what to install, where z3 is missing or too old."""
    if z3 is None:
        raise SpecError("z3 is not installed: `pip install z3-solver`, or run `make prove`, which installs it")
    if tuple(z3.get_version()[:3]) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise SpecError(f"z3 {z3.get_version_string()} is too old: install z3-solver {wanted} or newer")


Expr = NewType("Expr", object)

NO_LIMIT = 2**32 - 1
"""z3's own default for its time limit, in milliseconds."""


@unique
class Answer(Enum):
    """What a solver said."""

    SAT = "sat"
    UNSAT = "unsat"
    UNKNOWN = "unknown"


def version() -> str:
    """``z3 4.13.0``. Raises `SpecError` where z3 is missing or too old."""
    need_z3()
    return f"z3 {z3.get_version_string()}"


def bool_variable(name: str) -> Expr:
    """A fresh truth variable."""
    return Expr(z3.Bool(name))


def vector_variable(name: str, width: int) -> Expr:
    """A fresh bit-vector variable."""
    return Expr(z3.BitVec(name, width))


def bool_value(value: bool) -> Expr:
    """A truth constant."""
    return Expr(z3.BoolVal(value))


def vector_value(value: int, width: int) -> Expr:
    """A bit-vector constant."""
    return Expr(z3.BitVecVal(value, width))


def negate(value: Expr) -> Expr:
    """Not."""
    return Expr(z3.Not(value))


def conjoin(values: Iterable[Expr]) -> Expr:
    """And."""
    return Expr(z3.And(list(values)))


def disjoin(values: Iterable[Expr]) -> Expr:
    """Or."""
    return Expr(z3.Or(list(values)))


def equals(left: Any, right: Any) -> Expr:
    """Equality."""
    return Expr(left == right)


def at_least(left: Any, right: Any) -> Expr:
    """Unsigned comparison of bit-vectors."""
    return Expr(z3.UGE(left, right))


def below(left: Any, right: Any) -> Expr:
    """Unsigned comparison of bit-vectors."""
    return Expr(z3.ULT(left, right))


def add(left: Any, right: Any) -> Expr:
    """Sum of bit-vectors; the caller sees to it that nothing wraps."""
    return Expr(left + right)


def resize(value: Any, width: int, wanted: int) -> Expr:
    """A bit-vector cut or filled with zeros to ``wanted`` bits."""
    if wanted > width:
        return Expr(z3.ZeroExt(wanted - width, value))
    return Expr(z3.Extract(wanted - 1, 0, value)) if wanted < width else Expr(value)


def choose(condition: Expr, yes: Expr, no: Expr) -> Expr:
    """If-then-else."""
    return Expr(z3.If(condition, yes, no))


def implies(condition: Expr, consequence: Expr) -> Expr:
    """Implication."""
    return Expr(z3.Implies(condition, consequence))


def substitute(value: Expr, pairs: Sequence[tuple[Expr, Expr]]) -> Expr:
    """``value`` with each left side replaced by its right side."""
    return Expr(z3.substitute(value, *pairs))


class Model:
    """A state that a solver found; what it leaves open has some value all the same."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def is_true(self, formula: Expr) -> bool:
        """Whether a formula is true there."""
        return bool(z3.is_true(self._model.eval(formula, model_completion=True)))

    def text(self, value: Expr) -> str:
        """A value, as z3 writes it."""
        return str(self._model.eval(value, model_completion=True))


class Solver:
    """A solver for quantifier-free bit-vectors."""

    def __init__(self, logic: str | None = "QF_BV") -> None:
        need_z3()
        self._solver = z3.Solver() if logic is None else z3.SolverFor(logic)

    def add(self, *values: Expr) -> None:
        """Assert."""
        self._solver.add(*values)

    def push(self) -> None:
        """Open a scope."""
        self._solver.push()

    def pop(self) -> None:
        """Close the scope."""
        self._solver.pop()

    def check(self, seconds: float | None = None, assuming: Sequence[Expr] = ()) -> Answer:
        """Decide, giving up after ``seconds``; Ctrl-C counts as giving up and is raised again.

        Raises `MemoryError` where Z3 has no memory left; it is of no use any more then.

        ``assuming``: truth variables taken as true, for this question only.
        """
        self._solver.set("timeout", NO_LIMIT if seconds is None else max(1, int(seconds * 1000)))
        try:
            result = self._solver.check(*assuming)
        except z3.Z3Exception as error:
            if OUT_OF_MEMORY in str(error):
                raise MemoryError from error
            raise
        if result == z3.sat:
            return Answer.SAT
        if result == z3.unsat:
            return Answer.UNSAT
        if self.reason() == INTERRUPTED:
            raise KeyboardInterrupt
        return Answer.UNKNOWN

    def reason(self) -> str:
        """Why the last answer was unknown."""
        return str(self._solver.reason_unknown())

    def numbers(self, variables: Iterable[Expr]) -> list[int]:
        """The values of bit-vector variables in the model."""
        model = self._solver.model()
        return [int(model.eval(variable, model_completion=True).as_long()) for variable in variables]

    def core(self) -> list[str]:
        """The names of assumed truth variables that were enough for the last answer `UNSAT`."""
        return [str(each) for each in self._solver.unsat_core()]

    def true_of(self, formulas: Mapping[str, Expr]) -> list[str]:
        """The names of the formulas that the model makes true."""
        model = self._solver.model()
        return [name for name, each in formulas.items() if z3.is_true(model.eval(each, model_completion=True))]

    def model(self) -> Model:
        """The state behind the last answer `SAT`."""
        return Model(self._solver.model())

    def smt2(self) -> str:
        """The assertions as SMT-LIB text."""
        return str(self._solver.to_smt2())


# -- worlds of any size ----------------------------------------------------------------------


def object_sort(name: str) -> Any:
    """A sort of which nothing is known but that it has members."""
    need_z3()
    return z3.DeclareSort(name)


@cache
def choice_sort(name: str, members: tuple[str, ...]) -> tuple[Any, list[Expr]]:
    """A sort with just these members; z3 lets it be declared only once."""
    need_z3()
    sort, values = z3.EnumSort(name, [f"{name}.{member}" for member in members])
    return sort, [Expr(value) for value in values]


def bool_sort() -> Any:
    """Truth values."""
    return z3.BoolSort()


def count_sort() -> Any:
    """Whole numbers."""
    return z3.IntSort()


def count_value(value: int) -> Expr:
    """A whole number."""
    return Expr(z3.IntVal(value))


def function(name: str, arguments: Sequence[Any], result: Any) -> Any:
    """An unknown function; without arguments, an unknown value."""
    return z3.Function(name, *arguments, result) if arguments else z3.Const(name, result)


def apply(declared: Any, arguments: Sequence[Expr]) -> Expr:
    """The value of a function."""
    return Expr(declared(*arguments) if arguments else declared)


def not_below(left: Any, right: Any) -> Expr:
    """Comparison of whole numbers."""
    return Expr(left >= right)

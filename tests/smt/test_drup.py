"""The checker of logs: what follows is accepted, what does not is refused, and every damage is noticed."""

from __future__ import annotations

import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oom_smt.drup import Accepted, OutOfTime, RefusedLog, _Checker, check_log

from .dpll import Clause, propagated, solve

XOR: list[Clause] = [(1, 2, 3), (1, -2, -3), (-1, 2, -3), (-1, -2, 3), (1, 2, -3), (1, -2, 3), (-1, 2, 3), (-1, -2, -3)]
"""Every clause over three variables: nothing satisfies them, and no unit propagation starts by itself."""
LOG = "1 2 0\n1 0\n2 0\n0\n"


def satisfiable(clauses: list[Clause], variables: int) -> bool:
    """By trying all values."""
    return any(
        all(any(values[abs(each) - 1] == (each > 0) for each in clause) for clause in clauses)
        for values in product((False, True), repeat=variables)
    )


def refusal(clauses: list[Clause], log: str) -> str:
    with pytest.raises(RefusedLog) as refused:
        check_log(clauses, log)
    return str(refused.value)


def test_a_log_that_derives_the_empty_clause_is_accepted() -> None:
    assert check_log(XOR, LOG) == Accepted(learned=4, deleted=0)
    assert check_log(XOR, "1 2 0\n\nd 1 2 3 0\nd -3 2 1 0\n1 0\n2 0\n0\nwhat follows is not read") == Accepted(4, 2)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("1 0\n2 0\n0\n", "line 1 does not follow by unit propagation: 1 0"),  # the first lemma dropped
        ("1 2 0\n0\n", "line 2 does not follow by unit propagation: 0"),
        ("1 2 0\nd 1 2 0\n1 0\n2 0\n0\n", "line 3 does not follow by unit propagation: 1 0"),  # deleted too early
        ("1 2 0\n-1 0\n2 0\n0\n", "line 2 does not follow by unit propagation: -1 0"),  # a literal flipped
        ("1 2 0\n1 0\n2 0\n", "the log ends without the empty clause"),
        ("1 2 0\n1 0\n2 ", "line 3 does not end with 0: '2 '"),  # cut off
        ("1 2 0\n1 0\n2 0 0\n", "line 3 has a 0 before its end: '2 0 0'"),
        ("1 2 0\n1 0\nd\n", "line 3 does not end with 0: 'd'"),
        ("", "the log ends without the empty clause"),
        ("1 2 0\nabandon ship\n", "line 2 is no clause: 'abandon ship'"),
        ("4 0\n0\n", "line 1 speaks of a variable that no clause has: 4"),
        ("1 2 0\nd 1 -2 0\n", "line 2 deletes a clause that is not there: 1 -2 0"),
        ("1 2 0\nd 1 2 0\nd 1 2 0\n", "line 3 deletes a clause that is not there: 1 2 0"),
    ],
)
def test_a_damaged_log_is_refused_with_line_and_reason(log: str, reason: str) -> None:
    assert refusal(XOR, log) == reason


def test_a_clause_that_only_keeps_satisfiability_is_refused() -> None:
    """Blocked clauses (RAT) do not follow: a checker that believes them needs more than this one has."""
    assert refusal([(1, 2), (-1, -2)], "1 -2 0\n").startswith("line 1 does not follow")


def test_no_log_refutes_what_can_be_satisfied() -> None:
    assert refusal([(1, 2), (-1, 2)], "2 0\n0\n") == "line 2 does not follow by unit propagation: 0"


@pytest.mark.parametrize("clauses", [[()], [(1,), (-1,)], [(1,), (-1, 2), (-2,)]])
def test_clauses_that_propagation_refutes_still_need_the_claim(clauses: list[Clause]) -> None:
    assert check_log(clauses, "0\n") == Accepted(1, 0)
    assert refusal(clauses, "") == "the log ends without the empty clause"


def test_everything_follows_from_a_contradiction() -> None:
    assert check_log([(-1, 2), (-1, -2), (1,)], "2 0\n-2 0\n-1 0\n0\n") == Accepted(4, 0)


def test_a_value_that_was_forced_outlives_its_clause() -> None:
    assert check_log([(1,), (-1, 2), (-1, -2, 3), (-3, -2)], "d 1 0\nd -1 2 0\n0\n") == Accepted(1, 2)


def test_doubled_literals_and_tautologies_do_no_harm() -> None:
    assert check_log([*XOR, (1, -1), (2, 2, -3)], "d 1 -1 0\nd 2 -3 2 0\n" + LOG) == Accepted(4, 2)


def test_a_literal_0_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="0 is no literal"):
        check_log([(1, 0)], "0\n")


def test_time_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oom_smt.drup.LOOKS_AT_CLOCK", 1)
    with pytest.raises(OutOfTime, match="the log was checked to line 1 only"):
        check_log(XOR, LOG, seconds=-1)
    assert check_log(XOR, LOG, seconds=60) == Accepted(4, 0)


clause = st.lists(st.integers(1, 5).flatmap(lambda v: st.sampled_from((v, -v))), min_size=1, max_size=3).map(tuple)


@given(st.lists(clause, max_size=30))
def test_logs_of_a_plain_solver_are_accepted_where_trying_all_values_finds_none(clauses: list[Clause]) -> None:
    log: list[str] = []
    found = solve(clauses, log=log)
    assert (found is not None) == satisfiable(clauses, 5)
    if found is None:
        assert check_log(clauses, "\n".join(log)).learned == len(log)
    else:
        refusal(clauses, "\n".join([*log, "0"]))


@given(st.lists(clause, max_size=25), st.lists(st.tuples(clause, st.booleans()), max_size=20))
def test_it_accepts_exactly_what_propagation_shows(clauses: list[Clause], moves: list[tuple[Clause, bool]]) -> None:
    """The same as reading all clauses again and again, whatever was added and deleted before."""
    start: list[Clause] = [*clauses, (1, 2, 3, 4, 5)]
    checker = _Checker(start)
    here = list(start)
    forced: dict[int, bool] | None = propagated(here, ())
    for each, deletes in moves:
        if forced is None:
            assert checker.follows(each)
            continue
        # A value that was forced stays, also when its clause goes.
        kept = [*here, *((name if value else -name,) for name, value in forced.items())]
        follows = propagated(kept, [-literal for literal in each]) is None
        assert checker.follows(each) == follows
        if follows:
            assert not satisfiable([*start, *((-literal,) for literal in each)], 5)
            checker.add(each)
            here.append(each)
        elif deletes and here:
            gone = here.pop(sum(map(abs, each)) % len(here))
            assert checker.delete(gone)
        forced = propagated(kept + ([each] if follows else []), ())


def test_damage_at_random_is_never_believed_of_what_can_be_satisfied() -> None:
    """Logs of refutations, damaged, against the same clauses with one left out that was needed."""
    chooser = random.Random(7)
    for _ in range(200):
        clauses = [tuple(chooser.choice((1, -1)) * chooser.randint(1, 5) for _ in range(3)) for _ in range(32)]
        log: list[str] = []
        if solve(clauses, log=log) is not None:
            continue
        while not satisfiable(clauses, 5):
            clauses.pop(chooser.randrange(len(clauses)))
        refusal([*clauses, (1, 2, 3, 4, 5, -1)], "\n".join(log))

"""What a start in a world of any size is known to have: it is so in every scenario, and proofs know no more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oom_smt.induction import Prover
from oom_spec.language import Scenario, terms
from oom_spec.protocol.state import Presence, Scanner
from oom_spec.scenarios import SCENARIOS
from oom_spec.stepping import layout
from oom_spec.unbounded.clauses import read_clause
from oom_spec.unbounded.opening import never_all

STARTS = [scenario for scenario in SCENARIOS if scenario.starts_after is None]


def initial(scenario: Scenario) -> dict[tuple[str, str], object]:
    """The value of each plain field of each object at the start, by qualified name and object."""
    return {
        (each.declaration.qualified, each.slot[1][0]): each.values[each.initial]
        for each in layout(scenario)
        if each.declaration.index is None
    }


def of_class(scenario: Scenario, kind: str) -> Iterator[str]:
    return iter(scenario.structure().objects.get(kind, ()))


@pytest.mark.parametrize("scenario", STARTS, ids=lambda scenario: scenario.id)
def test_each_scenario_starts_so(scenario: Scenario) -> None:
    values, statics = initial(scenario), scenario.structure().statics
    children = [statics["Fork.child", fork] for fork in of_class(scenario, "Fork")]
    assert len(set(children)) == len(children)
    for child in children:
        assert values["Mm.vmas", str(child)] is Presence.NEVER
        assert values["Mm.scanner", str(child)] is Scanner.ABSENT
        assert values["Mm.foreign_users", str(child)] == 0
        for kind in ("Process", "Fault"):
            assert all(statics[f"{kind}.mm", other] != child for other in of_class(scenario, kind))
    for process in of_class(scenario, "Process"):
        if statics["Process.global_init", process]:
            assert not statics["Process.may_exit", process]
            assert not values["Process.sigkill", process]
    for task in of_class(scenario, "Task"):
        assert any(
            statics["Task.process", leader] == statics["Task.process", task]
            and statics["Task.leader", leader]
            and values["Task.hashed", leader]
            for leader in of_class(scenario, "Task")
        )


@pytest.mark.parametrize(
    "never",
    [
        ("fork1.child is process1.mm",),
        ("fork1.child is fork2.child", "fork1 is not fork2"),
        ("fault1.mm is fork1.child",),
        ("fork1.child.vmas is not NEVER",),
        ("fork1.child.scanner is not ABSENT",),
        ("fork1.child.foreign_users >= 1",),
        ("process1.global_init", "process1.may_exit"),
        ("process1.global_init", "process1.sigkill"),
        ("no task: task.process is task1.process and task.leader and task.hashed",),
    ],
)
def test_proofs_know_it(never: tuple[str, ...]) -> None:
    lemma = never_all(read_clause(never).literals)
    assert set(Prover().at_start({"so": lemma, "not so": terms.negate(lemma)})) == {"not so"}


@pytest.mark.parametrize(
    "never",
    [("mm1.vmas is not NEVER",), ("process1.may_exit",), ("not task1.leader",), ("killer1.current is nobody",)],
)
def test_proofs_know_no_more(never: tuple[str, ...]) -> None:
    lemma = never_all(read_clause(never).literals)
    assert set(Prover().at_start({"so": lemma})) == {"so"}


def test_a_condition_on_nobody_is_taken_at_its_word() -> None:
    """Where another condition asks where an optional attribute leads, it must lead somewhere; here it must not."""
    assert never_all(read_clause(("killer1.current is nobody", "killer1.memcg")).literals) is not terms.TRUE
    assert never_all(read_clause(("killer1.current is nobody", "killer1.current.memdie")).literals) is not terms.TRUE

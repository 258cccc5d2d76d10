"""How Z3 is asked: the chosen encoding beside other ways to ask the same question.

The question is the flagship race, v4.12's needless kill from where the mail's diagram starts, at
every depth up to the violation. The chosen way is `SolverFor("QF_BV")` with one scheduler-choice
variable per step, asked incrementally.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.measuring import Row, seconds
from oom_smt.bounded import Search, confirm, goal_of
from oom_smt.encoding import Encoding
from oom_smt.z3_api import Answer
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration
from oom_spec.instances import Instance
from oom_spec.language.errors import SpecError
from oom_spec.properties import find_properties
from oom_spec.scenarios import find_scenario


def rows(rounds: int) -> list[Row]:
    """Seconds of the chosen way, and how many times slower each other way is in the same round."""
    (subject,) = find_properties("N1s")
    instance = Instance(find_era("v4.12"), find_scenario("marked"))
    exploration = Exploration(instance, [subject], first_only=True)
    hit = exploration.findings[subject.id].violated
    if hit is None:
        raise SpecError("the explorer did not find the race: the figures would mean nothing")
    depth, start = hit.depth, next(iter(exploration.parents))
    encoding, goal = Encoding(instance), goal_of(instance, subject)

    def searched(logic: str | None) -> Callable[[], None]:
        return lambda: _found(Search(encoding, start, logic).advance([goal], depth, 600.0).answer)

    chosen = seconds(searched("QF_BV"), rounds)
    others = {
        "with QF_FD": searched("QF_FD"),
        "with the default solver": searched(None),
        f"in one shot at depth {depth}": lambda: _found(confirm(encoding, start, goal, depth).answer),
    }
    found = [Row(f"z3: N1s in v4.12, `marked`, every depth to {depth}", chosen, "s")]
    for name, question in others.items():
        ratios = tuple(b / a for a, b in zip(chosen, seconds(question, rounds), strict=True))
        found.append(Row(f"z3: the same {name}, over the chosen way", ratios, "x"))
    return found


def _found(answer: Answer) -> None:
    if answer is not Answer.SAT:
        raise SpecError("z3 did not find the race: the figures would mean nothing")

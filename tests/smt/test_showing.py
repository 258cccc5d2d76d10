"""A counterexample to induction as a table: what it shows, and what it leaves out."""

from __future__ import annotations

import attrs
import pytest

from oom_smt.induction import Obligation, conditions_of
from oom_smt.open_encoding import OpenEncoding
from oom_smt.questions import Counterexample, Lemmas, Question
from oom_smt.showing import WIDTH, Row, Table, table, text
from oom_smt.suggesting import Choice, never
from oom_spec.eras import find_era
from oom_spec.language import terms
from oom_spec.language.errors import SpecError
from oom_spec.language.terms import Term
from oom_spec.lifting import Path
from oom_spec.protocol.names import Guard
from oom_spec.unbounded.clauses import read_clause
from oom_spec.unbounded.grounding import objects_of_step, opened, substitute
from oom_spec.unbounded.literals import choice_of, read_literal
from oom_spec.unbounded.opening import object_of, open_step

E6 = find_era("v4.15")
TRYLOCK = E6.step("killer.__alloc_pages_may_oom.mutex_trylock(oom_lock)")
SKIP = E6.step("mm.exit_mmap.set_bit(MMF_OOM_SKIP)")


def goal_of(*texts: str) -> Term:
    return never(read_clause(texts).literals)


def counterexample(path: Path, goal: Term) -> Counterexample:
    """A state in which the goal holds, but not after the step."""
    obligation = Obligation(path, goal, keeps=True)
    body, fresh = opened(goal)
    given = [*conditions_of(path), substitute(body, fresh)]
    question = Question(OpenEncoding(), objects_of_step(path), lambda _: given, 10)
    found = question.failures({"": obligation.denied}, Lemmas())[""]
    assert found is not None
    return found


def unguarded(path: Path) -> Path:
    guard = next(condition for name, condition in path.guards if name is Guard.OOM_LOCK_FREE)
    return attrs.evolve(path, condition=tuple(part for part in path.condition if part is not guard))


LOCKS = ("killer1 is not killer2", "killer1.holds_oom_lock", "killer2.holds_oom_lock")


def locks() -> Table:
    path = unguarded(open_step(TRYLOCK)[0])
    goal = goal_of(*LOCKS)
    return table(TRYLOCK, path, goal, counterexample(path, goal))


def test_it_shows_what_the_step_changes_and_what_the_lemma_reads_of_each_object_once() -> None:
    found = locks()
    assert found.step == TRYLOCK.id
    assert found.statement == (
        "While killer 1 is not killer 2 and holds_oom_lock of killer 1 is set, holds_oom_lock of killer 2 is not set."
    )
    changed = [row for row in found.rows if row.changed]
    assert Row("killer1.holds_oom_lock", "not set", "set") in changed
    assert [row for row in found.rows if not row.changed] == [Row("killer2.holds_oom_lock", "set", "set")]
    counter = next(row for row in changed if row.field == "killer1.at")
    assert (counter.before, counter.after) == (TRYLOCK.at.name, TRYLOCK.then.name)  # type: ignore[union-attr]


def test_as_text_it_fits_the_page_and_marks_what_changes() -> None:
    lines = text(locks()).splitlines()
    assert max(map(len, lines)) <= WIDTH
    marked = [line.split("|")[0].split()[1] for line in lines if line.startswith("*")]
    assert marked == ["killer1.at", "killer1.holds_oom_lock"]
    (kept,) = (line.split() for line in lines if line.startswith("  killer2.holds"))
    assert kept == ["killer2.holds_oom_lock", "|", "set", "|", "set"]


def test_long_fields_get_a_line_of_their_own() -> None:
    row = Row("killer1.eligible[" + "task1." * 14 + "process]", "BEFORE_IT_ALL", "AFTER_IT_ALL")
    lines = text(Table("a step", "What it does.", "It breaks.", (row,))).splitlines()
    assert f"* {row.field}" in lines
    assert lines[-1].endswith("| BEFORE_IT_ALL | AFTER_IT_ALL")


def test_as_data_it_says_the_same() -> None:
    found = locks()
    data = found.data
    assert data["statement"] == found.statement
    fields = data["fields"]
    assert isinstance(fields, list)
    assert {"field": "killer2.holds_oom_lock", "before": "set", "after": "set", "changed": False} in fields


def test_a_name_by_which_an_attribute_leads_to_an_object_gives_way_to_its_own() -> None:
    (path, *_) = open_step(SKIP)
    goal = goal_of("task1.memdie", "task1.process.mm.oom_skip")
    found = table(SKIP, path, goal, counterexample(path, goal))
    assert Row("mm1.oom_skip", "not set", "set") in found.rows
    assert Row("task1.memdie", "set", "set") in found.rows
    assert not any("process" in row.field for row in found.rows)
    assert found.same == ("mm1 is task1.process.mm",)
    assert text(found).splitlines()[-1] == "  mm1 is task1.process.mm"


def test_fields_inside_quantifiers_are_shown_where_the_step_changes_them() -> None:
    path = unguarded(open_step(TRYLOCK)[0])
    goal = goal_of("some killer: killer.holds_oom_lock and killer.can_reap")
    found = table(TRYLOCK, path, goal, counterexample(path, goal))
    assert Row("killer1.holds_oom_lock", "not set", "set") in found.rows
    assert all(row.changed for row in found.rows)


def test_references_and_counts_have_values() -> None:
    dequeue = next(each for each in E6.steps if any(n == "Reaper.job" for n, _ in open_step(each)[0].updates))
    path = open_step(dequeue)[0]
    goal = goal_of("reaper.job is task1", "task1.queue_depth is 0")
    found = table(dequeue, path, goal, counterexample(path, goal))
    job = next(row for row in found.rows if row.field == "reaper.job")
    assert job.before == "nobody"
    assert job.after == "task1"
    depth = next(row for row in found.rows if row.field == "task1.queue_depth")
    assert depth.before.isdigit()
    assert depth.after == "0"


def test_a_goal_with_names_by_reference_needs_words() -> None:
    path = open_step(TRYLOCK)[0]
    found = counterexample(path, goal_of("killer1.holds_oom_lock"))
    task = object_of("Task", "Killer1->victim")
    found.universe.add(task)
    goal = terms.negate(terms.field("Task.memdie", terms.BOOL, (task,)))
    assert table(TRYLOCK, path, goal, found, "It is not.").statement == "It is not."
    with pytest.raises(SpecError, match="named by a reference"):
        table(TRYLOCK, path, goal, found)


def test_choices_of_the_learner_and_literals_of_a_file_are_one_formula() -> None:
    literal = read_literal("killer1.at is not IDLE or OOM_LOCK")
    chosen = choice_of(literal)
    assert chosen is not None
    assert Choice(*chosen).formula is literal
    assert never([Choice(*chosen)]) is never([literal])


def test_a_value_that_depends_on_other_objects_is_shown_for_those_of_the_state() -> None:
    mark = find_era("v4.6").step("task.exit_mm.exit_oom_victim[TIF_MEMDIE]")
    path = open_step(mark)[0]
    goal = goal_of("process1.oom_mm", "task1.hashed", "task1.process is process1", "not task1.memdie")
    shown = table(mark, path, goal, counterexample(path, goal))
    assert {row.field: row.after for row in shown.rows}["task1.memdie"] == "not set"
    assert {row.field for row in shown.rows} >= {"process1.oom_mm"}

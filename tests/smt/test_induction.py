"""Induction in worlds of any size: what it proves, and what it must refuse."""

from __future__ import annotations

import attrs
import pytest

from oom_smt.induction import Obligation, Prover, formula_of, obligations
from oom_smt.proving import Invariant, find_invariant, prove
from oom_spec.eras import find_era
from oom_spec.language import World, both, either, every, implies, negate, some
from oom_spec.language.errors import SpecError
from oom_spec.language.terms import Term
from oom_spec.lifting import Path
from oom_spec.properties import find_properties
from oom_spec.protocol.names import Guard
from oom_spec.protocol.state import Killer, Mm, Presence, Process, Reaper, Task
from oom_spec.unbounded.clauses import read_clause
from oom_spec.unbounded.grounding import absent_classes
from oom_spec.unbounded.lemmas import LEMMAS
from oom_spec.unbounded.opening import never_all, open_formula, open_step
from oom_spec.verdicts import Word

E6 = find_era("v4.15")


def path_of(step: str) -> Path:
    (path,) = open_step(E6.step(step))
    return path


def one_at_a_time(world: World, one: Killer, other: Killer) -> bool:
    return either(one == other, negate(both(one.holds_oom_lock, other.holds_oom_lock)))


ONE_KILLER = open_formula(one_at_a_time, (Killer, Killer))
TRYLOCK = "killer.__alloc_pages_may_oom.mutex_trylock(oom_lock)"


def test_a_lock_keeps_any_number_of_killers_apart() -> None:
    prover = Prover()
    assert prover.inductive(E6, {"one killer": ONE_KILLER})[0] == {"one killer": ONE_KILLER}


def test_without_the_guard_of_the_lock_it_does_not() -> None:
    path = path_of(TRYLOCK)
    guard = next(condition for name, condition in path.guards if name is Guard.OOM_LOCK_FREE)
    assert guard in path.condition
    open_path = attrs.evolve(path, condition=tuple(part for part in path.condition if part is not guard))
    assert set(Prover().after_step(open_path, {"one": ONE_KILLER}, [ONE_KILLER])) == {"one"}
    assert Prover().after_step(path, {"one": ONE_KILLER}, [ONE_KILLER]) == {}


def three_pointers(world: World, killer: Killer, reaper: Reaper, task: Task) -> bool:
    """With three different tasks pointed at, there is no fourth: true up to three tasks."""
    distinct = both(
        negate(killer.chosen == None),  # noqa: E711 - a reference
        negate(killer.victim == None),  # noqa: E711
        negate(reaper.job == None),  # noqa: E711
        negate(killer.chosen == killer.victim),
        negate(killer.chosen == reaper.job),
        negate(killer.victim == reaper.job),
    )
    return implies(distinct, either(task == killer.chosen, task == killer.victim, task == reaper.job))


def test_a_lemma_that_only_small_worlds_keep_is_refused() -> None:
    """The naive cut-off, which does not count what references point at, takes this for inductive."""
    lemma = open_formula(three_pointers, (Killer, Reaper, Task))
    dequeue = path_of("reaper.oom_reaper.oom_reap_task")
    assert set(Prover().after_step(dequeue, {"trap": lemma}, [lemma])) == {"trap"}

    def no_fourth(world: World, killer: Killer, reaper: Reaper, task: Task) -> bool:
        return either(task == killer.chosen, task == killer.victim, task == reaper.job)

    only_three = open_formula(no_fourth, (Killer, Reaper, Task))
    assert Prover().after_step(dequeue, {"trap": lemma}, [only_three]) == {}


def test_a_bound_on_a_count_over_all_objects_is_refused() -> None:
    """At most three tasks are on the list: true of worlds with three tasks."""
    lemma = open_formula(lambda world: negate(world.queue_top >= 4), ())
    push = path_of("killer.wake_oom_reaper.oom_reaper_list = tsk")
    assert set(Prover().after_step(push, {"trap": lemma}, [lemma])) == {"trap"}


def test_what_the_start_does_not_give_is_refused() -> None:
    def all_marked(world: World, process: Process) -> bool:
        return process.oom_mm

    def pages_somewhere(world: World, mm: Mm) -> bool:
        return mm.reapable != 0

    def tables(world: World, mm: Mm) -> bool:
        return mm.page_tables == Presence.PRESENT

    goals: dict[str, Term] = {
        "marked": open_formula(all_marked, (Process,)),
        "pages": open_formula(pages_somewhere, (Mm,)),
        "tables": open_formula(tables, (Mm,)),
    }
    assert set(Prover().at_start(goals)) == {"marked", "pages"}


def test_an_untouched_object_counts_too() -> None:
    """A step changes what a lemma about another object reads."""

    def nobody_reaped(world: World, reaper: Reaper, mm: Mm) -> bool:
        return implies(negate(reaper.job == None), mm.oom_skip)  # noqa: E711 - a reference

    lemma = open_formula(nobody_reaped, (Reaper, Mm))
    dequeue = path_of("reaper.oom_reaper.oom_reap_task")
    assert set(Prover().after_step(dequeue, {"trap": lemma}, [lemma])) == {"trap"}


def test_universal_facts_are_used_for_all_objects_at_hand() -> None:
    def all_skip(world: World) -> bool:
        return every(world.all(Mm), lambda mm: mm.oom_skip)

    lemma = open_formula(all_skip, ())
    assert Prover().inductive(E6, {"skip": lemma})[1]["skip"].step is None  # it does not start so
    for declared in E6.steps:
        for path in open_step(declared):
            assert Prover().after_step(path, {"skip": lemma}, [lemma]) == {}, declared.id


# -- whole properties ------------------------------------------------------------------------


def bare(era: str) -> Invariant:
    found = find_era(era)
    return Invariant(found, Prover(absent_classes(found)), {})


@pytest.mark.parametrize(
    ("era", "name", "word"),
    [
        ("v4.6", "S5r", Word.UNKNOWN),
        ("v4.7", "S5r", Word.PROVED),
        ("v7.0", "S5r", Word.PROVED),
        ("v4.8", "S10", Word.UNKNOWN),
        ("v4.12", "S10", Word.PROVED),
        ("v5.15", "S5m", Word.UNKNOWN),
        ("v6.1", "S5m", Word.PROVED),
        ("v4.12", "S5m", Word.NOT_APPLICABLE),
        ("v4.12", "N2x", Word.UNKNOWN),
    ],
)
def test_what_the_steps_alone_prove(era: str, name: str, word: Word) -> None:
    (subject,) = find_properties(name)
    found = prove(bare(era), subject, support=True)
    assert found.word is word
    assert bool(found.breaks) == (word is Word.UNKNOWN)
    if word is Word.PROVED:
        assert found.support == {subject.id: []}


def test_a_definition_of_excuses_is_true_of_every_state() -> None:
    found = prove(bare("v4.12"), find_properties("N3")[0])
    assert found.word is Word.VACUOUS
    assert found.only_by_excuse


def test_a_question_about_the_graph_is_refused() -> None:
    with pytest.raises(SpecError, match="whole graph"):
        obligations(E6, find_properties("L1")[0])


@pytest.fixture(scope="module")
def invariant() -> Invariant:
    return find_invariant(E6)


def test_the_recorded_lemmas_of_an_era_are_inductive(invariant: Invariant) -> None:
    assert "killer-works-under-oom-lock" in invariant.lemmas
    assert invariant.refuted == {}


def test_a_recorded_lemma_that_is_wrong_is_dropped(invariant: Invariant) -> None:
    """As it would be if somebody wrote it into the file."""
    wrong = open_formula(lambda world, mm: negate(mm.oom_skip), (Mm,))
    few = {name: invariant.lemmas[name] for name in list(invariant.lemmas)[:3]}
    needs = {"wrong": tuple(few)}
    alive, broken = Prover(absent_classes(E6)).inductive(E6, {**few, "wrong": wrong}, needs=needs)
    assert "wrong" not in alive
    assert broken["wrong"].step is not None
    assert broken["wrong"].found is not None


@pytest.mark.parametrize("name_of", ["S9", "N2x", "S4"])
def test_a_proof_names_what_it_rests_on_and_nothing_else(invariant: Invariant, name_of: str) -> None:
    (subject,) = find_properties(name_of)
    found = prove(invariant, subject, support=True)
    assert found.word is Word.PROVED
    assert next(iter(found.support)) == name_of
    kept = {name: invariant.lemmas[name] for name in found.support if name != name_of}
    small = Invariant(E6, Prover(absent_classes(E6)), kept)
    assert prove(small, subject).word is Word.PROVED
    own = {name_of: formula_of(subject)} if subject.event is None else {}
    assert set(Prover(absent_classes(E6)).inductive(E6, {**kept, **own})[0]) == {*kept, *own}
    for use in found.uses[name_of]:
        for name in use.lemmas:
            less = [kept[other] for other in use.lemmas if other != name and other in kept]
            prover = Prover(absent_classes(E6))
            assert prover.core(use.obligation, prover.numbers(less)) is None


def test_witnesses_of_different_lemmas_are_different_objects() -> None:
    """One task is marked, one is not: both exist, and no contradiction follows."""

    def one_marked(world: World) -> bool:
        return some(world.all(Task), lambda task: task.memdie)

    def one_unmarked(world: World) -> bool:
        return some(world.all(Task), lambda task: negate(task.memdie))

    lemmas = {"marked": open_formula(one_marked, ()), "unmarked": open_formula(one_unmarked, ())}
    goal = open_formula(lambda world, mm: mm.oom_skip, (Mm,))
    path = path_of("mm.exit_mmap.free_pgtables")
    assert set(Prover().after_step(path, {"goal": goal}, list(lemmas.values()))) == {"goal"}
    assert Prover().needs(Obligation(path, goal, keeps=True), lemmas) is None


def never(*conditions: str) -> Term:
    return never_all(read_clause(conditions).literals)


def test_witnesses_of_one_question_do_not_cost_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions about the same objects share witnesses, of which there are so many and no more."""
    monkeypatch.setattr("oom_smt.questions.MOST_WITNESSES", 2)
    (path,) = open_step(find_era("v4.7").step("mm.exit_aio.kill_ioctx[completes]"))
    known = [
        never("mm1.walked_by_reaper", "no task: reaper.job is task and task.process.mm is mm1"),
        never("process1.oom_mm", "no task: task.process is process1 and task.memdie"),
        never("task1.memdie", "world.queue_top is 0"),
    ]
    one = never("process1.mm.walked_by_reaper", "reaper.job is nobody")
    other = never("process1.oom_mm", "process1.mm.vmas is NEVER", "world.queue_top is 0")
    prover = Prover()
    assert prover.after_step(path, {"one": one}, known) == {}
    assert prover.after_step(path, {"other": other}, known) == {}


def test_munlock_of_2018_gives_back_only_what_exit_mmap_took() -> None:
    """The lock is taken for a victim's munlock alone; of another mm it may be khugepaged's."""
    (path,) = open_step(find_era("hocko-rfc-2018-09-10").step("mm.exit_mmap.munlock_vma_pages_all[done]"))
    lemma = next(each for each in LEMMAS if each.name == "scanner-writes").formula
    assert Prover().after_step(path, {"scanner": lemma}, [lemma]) == {}

"""Mutants: which there are, what each changes, and when two graphs count as the same."""

from __future__ import annotations

from collections import Counter

import pytest

from oom_spec.eras import all_eras, find_era
from oom_spec.exploring import Exploration
from oom_spec.instances import Instance
from oom_spec.language import Era, Step, requires, terms
from oom_spec.language.errors import MisuseError, SpecError
from oom_spec.lifting import Path
from oom_spec.mutating import Mutation, Slip, guards_of, holders, introduced, mutated, mutations
from oom_spec.noticing import Baseline, Strength
from oom_spec.properties import PROPERTIES, find_properties
from oom_spec.protocol import exit_mmap
from oom_spec.scenarios import find_scenario
from oom_spec.scenarios.gallery import GALLERY
from oom_spec.survivors import read, reason_for, reasons

E4 = find_era("E4")


def step_of(name: str, era: Era = E4) -> Step:
    (declared,) = (each for each in era.steps if each.id == name)
    return declared


def ids(name: str, *slips: Slip) -> list[str]:
    """The mutations of one step of E4 by these slips."""
    return [f"{m.slip.value} {m.which}" for m in mutations(E4, [step_of(name)]) if m.slip in slips and m.step == name]


def paths_of(instance: Instance, step: str) -> list[Path]:
    return [path for action, path in instance.lifted if action.step.id == step]


# -- which mutants there are -----------------------------------------------------------------


def test_every_distinct_step_is_introduced_by_exactly_one_era() -> None:
    owners = Counter(declared for era in all_eras() for declared in introduced(era))
    assert set(owners.values()) == {1}
    assert set(owners) == {declared for era in all_eras() for declared in era.steps}


def test_the_base_era_introduces_its_whole_list() -> None:
    (base,) = (era for era in all_eras() if era.parent is None)
    assert introduced(base) == base.steps


def test_a_replaced_step_is_introduced_anew() -> None:
    old, new = (step_of("mm.exit_mmap.unmap_vmas[done]", find_era(name)) for name in ("E4", "E5"))
    assert old is not new
    assert old in introduced(find_era("E4"))
    assert new in introduced(find_era("E5"))


def test_no_mutation_is_named_twice_in_an_era() -> None:
    for era in all_eras():
        assert [name for name, count in Counter(m.id for m in mutations(era)).items() if count > 1] == []


def test_the_mutations_of_a_step_are_its_guards_assignments_and_events() -> None:
    assert ids("mm.exit_mmap.munlock_vma_pages_all", *set(Slip) - {Slip.EXCHANGED}) == [
        "guard dropped 0 HAS_LOCKED_VMA",
        "guard negated 0 HAS_LOCKED_VMA",
        "assignment dropped Mm.vm_locked",
        "assignment dropped Mm.munlocking",
    ]
    assert ids("mm.__mmput.set_bit(MMF_OOM_SKIP)", Slip.EVENT_DROPPED) == ["event dropped EXIT_SETS_SKIP"]


@pytest.mark.parametrize(
    ("step", "field"),
    [
        ("killer.oom_kill_process.task_unlock", "Killer.holds_task_lock"),
        ("reaper.__oom_reap_task_mm.mmput_async[last]", "Mm.pinned_by_reaper"),
        ("mm.__ksm_exit.up_write", "Mm.writer"),
        ("reaper.oom_reap_task.put_task_struct", "Reaper.job"),
    ],
)
def test_giving_back_a_lock_or_a_reference_is_a_release(step: str, field: str) -> None:
    assert f"release dropped {field}" in ids(step, Slip.RELEASE_DROPPED)


def test_taking_a_lock_is_no_release() -> None:
    assert ids("killer.mem_cgroup_out_of_memory.mutex_lock(oom_lock)", Slip.RELEASE_DROPPED) == []
    assert ids("killer.mem_cgroup_out_of_memory.mutex_lock(oom_lock)", Slip.ASSIGNMENT_DROPPED) == [
        "assignment dropped Killer.holds_oom_lock"
    ]


def test_holders_are_what_locks_and_counts_are_derived_from() -> None:
    assert {"Mm.writer", "Mm.read_by_reaper", "Reaper.holds_oom_lock", "Task.has_mm"} <= holders()
    assert {"Mm.oom_skip", "Mm.reapable", "Reaper.attempts", "Task.process"} & holders() == set()


def test_neighbours_are_exchanged_if_one_of_them_carries_a_lock_or_a_flag() -> None:
    name = "killer.oom_kill_process.task_unlock"
    assert "exchanged with killer.oom_kill_process.rcu_read_unlock[cannot reap]" in ids(name, Slip.EXCHANGED)
    # the beginning of freeing page tables and its end carry neither
    assert ids("mm.exit_mmap.free_pgtables", Slip.EXCHANGED) == []


def test_exchanged_steps_are_neighbours_of_one_actor() -> None:
    steps = {declared.id: declared for declared in E4.steps}
    for each in mutations(E4):
        if each.slip is Slip.EXCHANGED:
            first, second = steps[each.step], steps[each.which]
            assert (first.actor, first.then) == (second.actor, second.at)


# -- what a mutant changes -------------------------------------------------------------------


def test_a_guard_is_left_out_by_its_number() -> None:
    base = Instance(E4, find_scenario("foreign-user"))
    declared = step_of("world.access_remote_vm.down_read")
    names = [guard.name for guard in guards_of(base, declared)]
    assert "READ_LOCK_FREE" in names
    for number, name in enumerate(names):
        mutant = mutated(base, Mutation(declared.id, Slip.GUARD_DROPPED, f"{number} {name}"))
        assert paths_of(mutant, declared.id)
        assert all(name not in [guard.name for guard, _ in path.guards] for path in paths_of(mutant, declared.id))


def test_a_negated_guard_asks_for_the_opposite() -> None:
    base = Instance(E4, GALLERY)
    name = "mm.exit_mmap.munlock_vma_pages_all"
    mutant = mutated(base, Mutation(name, Slip.GUARD_NEGATED, "0 HAS_LOCKED_VMA"))
    before, after = (paths_of(each, name)[0] for each in (base, mutant))
    assert [terms.negate(part) for part in before.condition] == list(after.condition)
    assert before.updates == after.updates


def test_exchanged_steps_have_each_others_place() -> None:
    base = Instance(E4, GALLERY)
    first, second = "mm.exit_mmap.munlock_vma_pages_all[done]", "mm.exit_mmap.tlb_gather_mmu"
    mutant = mutated(base, Mutation(first, Slip.EXCHANGED, second))
    for one, other in ((first, second), (second, first)):
        assert paths_of(mutant, one)[0].site == paths_of(base, other)[0].site
        assert paths_of(mutant, one)[0].updates.get(("Mm.mmput_at", ("mm0",))) is paths_of(base, other)[0].updates.get(
            ("Mm.mmput_at", ("mm0",))
        )


def test_everything_else_is_shared_and_guards_are_whole_again() -> None:
    base = Instance(E4, GALLERY)
    name = "mm.exit_mmap.munlock_vma_pages_all"
    mutant = mutated(base, Mutation(name, Slip.GUARD_DROPPED, "0 HAS_LOCKED_VMA"))
    shared = {id(path) for action, path in base.lifted if action.step.id != name}
    assert {id(path) for action, path in mutant.lifted if action.step.id != name} == shared
    assert exit_mmap.requires is requires  # type: ignore[attr-defined]
    assert paths_of(Instance(E4, GALLERY), name)[0].guards


def test_a_mutation_of_a_missing_step_is_refused() -> None:
    with pytest.raises(MisuseError) as refused:
        mutated(Instance(E4, GALLERY), Mutation("mm.nothing", Slip.EVENT_DROPPED, "NONE"))
    assert str(refused.value) == "E4 has no step `mm.nothing` to mutate"


# -- whether it shows ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny() -> Baseline:
    """The smallest graph."""
    return Baseline(E4, find_scenario("init-shares"), PROPERTIES)


def _graph(instance: Instance, spoken: frozenset[object], *, named: bool = False) -> set[tuple[object, ...]]:
    """Every transition, by plain states: the reference for the scan. A graph that explodes is cut short.

    ``named``: transitions of different steps are different ones.
    """
    found = Exploration(instance, (), keep_edges=True, most=2_000)
    assert found.edges is not None
    transitions: set[tuple[object, ...]] = set()
    for state, edges in found.edges.items():
        for target, number in edges:
            path = instance.paths[number]
            events = tuple((e.event.name, e.arguments) for e in path.events if e.event in spoken)
            name = path.action.id if named else path.action.actor
            transitions.add((found.packing.unpack(state), name, found.packing.unpack(target), events))
    return transitions


def test_the_scan_says_the_same_as_a_comparison_of_whole_graphs(tiny: Baseline) -> None:
    asked = mutations(E4)[::19]
    answers = Counter[bool]()
    before, before_named = (_graph(tiny.instance, tiny.events, named=named) for named in (False, True))
    for mutation in asked:
        mutant = mutated(tiny.instance, mutation)
        shows = tiny.shows(mutant, mutation.steps)
        if _graph(mutant, tiny.events) != before:
            assert shows, mutation.id
        elif shows:  # the changed step leads only where another one leads as well
            assert _graph(mutant, tiny.events, named=True) != before_named, mutation.id
        answers[shows] += 1
    assert min(answers[True], answers[False]) > 5


def test_an_unchanged_instance_does_not_show(tiny: Baseline) -> None:
    assert tiny.notice(Mutation("mm.exit_mmap.remove_vma", Slip.EVENT_DROPPED, "NONE")) is None


def test_the_guard_that_the_known_race_hangs_on_flips_a_verdict() -> None:
    """Without the guard of mmget_not_zero the reaper of v4.12 walks page tables that are going."""
    original = Baseline(E4, find_scenario("single"), find_properties("S1"))
    assert original.depths.get(("S1", "violated")) is None
    notice = original.notice(Mutation("reaper.__oom_reap_task_mm.mmget_not_zero", Slip.GUARD_DROPPED, "0 USERS_LEFT"))
    assert notice is not None
    assert (notice.strength, notice.killer) == (Strength.VERDICT, "S1")
    assert notice.how.endswith(", before never")


def test_a_wait_that_never_ends_is_a_deadlock() -> None:
    original = Baseline(E4, find_scenario("ksmd"), find_properties("deadlock"))
    notice = original.notice(Mutation("mm.__ksm_exit.down_write[wakes]", Slip.GUARD_NEGATED, "0 WRITE_LOCK_FREE"))
    assert notice is not None
    assert (notice.strength, notice.killer) == (Strength.VERDICT, "deadlock")


def test_a_change_that_no_property_speaks_of_is_told_apart() -> None:
    original = Baseline(E4, find_scenario("empty-mm"), find_properties("S1"))
    notice = original.notice(Mutation("mm.__mmput.set_bit(MMF_OOM_SKIP)", Slip.ASSIGNMENT_DROPPED, "Mm.oom_skip"))
    assert notice is not None
    assert (notice.strength, notice.killer) == (Strength.GRAPH, "")
    assert " states instead of " in notice.how


# -- recorded survivors ----------------------------------------------------------------------


def test_every_recorded_survivor_is_a_mutation_of_some_era() -> None:
    known = {mutation.id for era in all_eras() for mutation in mutations(era)}
    for reason in reasons():
        assert [name for name in reason.mutations if "*" not in name and name not in known] == []
        assert any(reason.covers(name) for name in known)
        if reason.noticed_in:
            find_era(reason.noticed_in)  # raises for an unknown one


def test_every_reason_is_a_sentence_of_its_own() -> None:
    texts = [reason.text for reason in reasons()]
    assert [text for text, count in Counter(texts).items() if count > 1] == []
    assert [text for text in texts if len(text.split()) < 4 or not text.endswith(".")] == []


def test_an_entry_that_names_a_mutation_goes_before_a_pattern() -> None:
    found = read(
        'schema = 1\n[[survivor]]\nmutations = ["a[b] | *"]\nreason = "wide"\n'
        '[[survivor]]\nmutations = ["a[b] | guard dropped 0 X"]\nreason = "narrow"\n'
    )
    assert [reason_for(f"a[b] | guard dropped {n} X", "E4", found) for n in (0, 1)] == [found[1], found[0]]
    assert reason_for("ab | guard dropped 0 X", "E4", found) is None


def test_an_entry_may_speak_of_some_eras_only() -> None:
    found = read(
        'schema = 1\n[[survivor]]\nmutations = ["a"]\nreason = "then"\neras = ["E4"]\n'
        '[[survivor]]\nmutations = ["a"]\nreason = "later"\neras = ["E5"]\n'
    )
    assert [reason_for("a", era, found) for era in ("E4", "E5", "E6")] == [*found, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema = 2", "survivors.toml has schema 2, not 1: reinstall oomspec"),
        ("[[survivor]]", "survivors.toml is damaged ('schema'); reinstall oomspec"),
        (
            'schema = 1\nsurvivor = [{ mutations = ["a", "a"], reason = "x" }]',
            "survivors.toml names `a` twice: keep one of the two",
        ),
    ],
)
def test_a_damaged_record_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(SpecError) as refused:
        read(text)
    assert str(refused.value) == message

"""process_mrelease, and v6.1 to v7.1: what each release repaired, and what it brought.

What must fail must fail at the recorded depth, and what must hold must be reached at all. Where one
change makes the difference, the same era without the change must fail.
"""

from __future__ import annotations

from functools import cache

import attrs
import pytest

from oom_smt.outcomes import faults_of
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration, Finding, replay
from oom_spec.instances import Instance
from oom_spec.language import Era, Property, Step, World
from oom_spec.properties import PROPERTIES
from oom_spec.properties.release import RELEASE
from oom_spec.protocol import fork, maple, mrelease
from oom_spec.protocol.names import Event
from oom_spec.protocol.points import MmputAt
from oom_spec.protocol.state import Fork, Mm, Mrelease, MreleaseResult
from oom_spec.scenarios import SCENARIOS
from oom_spec.scenarios.gallery import GALLERY
from oom_spec.scenarios.release_worlds import GALLERY_OBJECTS, RELEASE_WORLDS

KNOWN = {each.id: each for each in (*PROPERTIES, *RELEASE)}
WORLDS = {each.id: each for each in (*SCENARIOS, *RELEASE_WORLDS)}

MUST_FAIL: dict[tuple[str, str, str], int] = {
    # The first form of process_mrelease holds no users: page tables and munlock run beside its walk.
    ("mrelease-first-form", "S1", "mrelease"): 43,
    ("mrelease-first-form", "S1", "mrelease-unmarked"): 23,
    ("mrelease-first-form", "S2", "mrelease-mlocked"): 19,
    # v5.15 pins mm_users: the caller may run __mmput, and hides a victim from scans until it has reaped it.
    ("v5.15", "S5m", "mrelease-unmarked"): 16,
    ("v5.15", "N1v", "mrelease"): 39,
    # v5.17-rc leaves mm->mmap dangling.
    ("v5.17-rc", "S1", "mrelease-unmarked"): 29,
    # Nothing makes process_mrelease wait for robust futexes.
    ("v6.1", "L6", "mrelease-unmarked"): 9,
    # CVE-2025-21709: a failed fork leaves a tree that others can find; swapoff until v6.18.
    ("v6.8", "S11", "failed-fork"): 7,
    ("v6.8", "S11", "failed-fork-uprobes"): 7,
    ("v6.17", "S11", "failed-fork"): 9,
    # swapoff holds mm_users of a victim like any other foreign user.
    ("v6.18", "N1v", "swapoff-beside-reaper"): 33,
    # Only the marked thread is thawed until v6.17.
    ("v6.17", "L5", "frozen"): 19,
    # The inverted test in the v6.18 cycle.
    ("v6.18-dev", "M1", "mrelease-unmarked"): 10,
}

MRELEASE_WORLDS = ("mrelease-unmarked", "mrelease-mlocked", "mrelease-sharer", "mrelease-threads", "mrelease-twice")
MUST_HOLD: tuple[tuple[str, str, str], ...] = (
    *(("v5.15", name, scenario) for name in ("S1", "M1") for scenario in MRELEASE_WORLDS),
    *((era, "S1", "mrelease") for era in ("v5.15", "v5.17", "v6.1")),
    *((era, "M1", "mrelease") for era in ("v5.15", "v5.17", "v6.1", "v6.18", "v7.0")),
    *((era, "N1v", "mrelease") for era in ("v5.17", "v6.1")),
    *((era, "S5m", "mrelease-unmarked") for era in ("v5.17", "v5.18", "v6.1", "v7.0")),
    *((era, name, each) for era in ("v6.1", "v7.0") for name in ("S1", "M1", "S5m") for each in MRELEASE_WORLDS),
    *((era, "M1", "mrelease-notifiers") for era in ("v5.15", "v6.1")),
    *((era, "S3", "mrelease-watched") for era in ("v5.15", "v6.1")),
    *(("v6.1", name, "single") for name in ("N1s", "N1v", "N2r", "N2x", "N2q", "S1", "S7", "S8")),
    *((era, "N2x", "memory-kinds") for era in ("v6.1", "v6.8", "v7.0")),
    *((era, "N1s", "memory-kinds") for era in ("v6.1", "v7.0")),
    *((era, "L2s", "blocked-aio") for era in ("v6.1", "v7.0")),
    ("v6.14", "S11", "failed-fork-uprobes"),
    ("v6.18", "S11", "failed-fork"),
    ("v6.18", "L5", "frozen"),
)


def _explored(era: Era, subject: Property, scenario: str) -> tuple[Exploration, Finding]:
    exploration = Exploration(Instance(era, WORLDS[scenario]), [subject])
    assert not exploration.truncated
    return exploration, exploration.findings[subject.id]


@cache
def _of_era(era: str, name: str, scenario: str) -> tuple[Exploration, Finding]:
    return _explored(find_era(era), KNOWN[name], scenario)


@pytest.mark.parametrize(("era", "name", "scenario"), MUST_FAIL)
def test_known_race_is_found_at_its_depth(era: str, name: str, scenario: str) -> None:
    exploration, finding = _of_era(era, name, scenario)
    hit = finding.violated
    assert hit is not None, "this configuration must fail"
    assert hit.depth == MUST_FAIL[era, name, scenario]
    run = exploration.run_to(hit)
    assert len(replay(exploration.instance, run)) == hit.depth + 1


@pytest.mark.parametrize(("era", "name", "scenario"), MUST_HOLD)
def test_property_holds_and_is_reached(era: str, name: str, scenario: str) -> None:
    finding = _of_era(era, name, scenario)[1]
    assert finding.violated is None
    assert finding.reached is not None


@pytest.mark.parametrize("scenario", ["failed-fork", "failed-fork-uprobes"])
def test_without_markers_no_walker_meets_one(scenario: str) -> None:
    finding = _of_era("v7.0", "S11", scenario)[1]
    assert finding.violated is None
    assert finding.reached is None


def _changed(parent: str, *, replaced: tuple[Step, ...] = (), removed: tuple[str, ...] = ()) -> Era:
    return Era(id="changed", title="changed", parent=find_era(parent), replaced=replaced, removed=removed)


def _keeps_tree(mm: Mm) -> None:
    pass


def _sets_no_skip(world: World, mm: Mm) -> None:
    pass


def _succeeds(mrelease: Mrelease) -> None:
    mrelease.walks = False


def _says_nothing(fork: Fork) -> None:
    pass


KEEPS_TREE = attrs.evolve(maple.destroy_tree, function=_keeps_tree)
SETS_NO_SKIP = attrs.evolve(maple.exit_sets_skip, function=_sets_no_skip)
NO_WRITE_LOCK = attrs.evolve(maple.exit_sets_skip, then=MmputAt.FREE_PGTABLES)
WRITE_LOCK = (maple.write_lock.id, maple.write_lock_waits.id, maple.write_lock_wakes.id)

WITHOUT_THE_CHANGE: dict[str, tuple[Era, str, str]] = {
    "page tables go without the write lock": (
        _changed("v6.1", replaced=(NO_WRITE_LOCK,), removed=WRITE_LOCK),
        "S1",
        "single",
    ),
    "page tables go without the write lock, beside process_mrelease": (
        _changed("v6.1", replaced=(NO_WRITE_LOCK,), removed=WRITE_LOCK),
        "S1",
        "mrelease-unmarked",
    ),
    "neither the flag nor the empty tree": (
        _changed("v6.1", replaced=(KEEPS_TREE, SETS_NO_SKIP)),
        "S1",
        "mrelease-unmarked",
    ),
    "the flag comes before unmap_vmas": (
        _changed(
            "v6.1",
            replaced=(
                attrs.evolve(maple.first_vma, then=MmputAt.SKIP_AFTER_UNMAP),
                attrs.evolve(maple.exit_sets_skip, then=MmputAt.UNMAP),
                attrs.evolve(maple.read_unlock, then=MmputAt.FENCE_DOWN_WRITE),
            ),
        ),
        "N2x",
        "memory-kinds",
    ),
    "a refused VMA counts as success": (
        _changed("v6.1", replaced=(attrs.evolve(mrelease.pass_incomplete, function=_succeeds),)),
        "M1",
        "mrelease-notifiers",
    ),
    "uprobes does not ask": (
        _changed("v6.14", replaced=(fork.uprobes_locks,)),
        "S11",
        "failed-fork-uprobes",
    ),
    "swapoff does not ask": (
        _changed("v6.18", replaced=(fork.swapoff_locks,)),
        "S11",
        "failed-fork",
    ),
    "the failed fork does not say that the mm is unstable": (
        _changed(
            "v6.18",
            replaced=(attrs.evolve(fork.fork_sets_unstable, function=_says_nothing),),
        ),
        "S11",
        "failed-fork",
    ),
}


@pytest.mark.parametrize("what", WITHOUT_THE_CHANGE)
def test_without_the_change_the_property_fails(what: str) -> None:
    era, name, scenario = WITHOUT_THE_CHANGE[what]
    assert _of_era(str(era.parent and era.parent.id), name, scenario)[1].violated is None
    assert _explored(era, KNOWN[name], scenario)[1].violated is not None


@pytest.mark.parametrize("change", [KEEPS_TREE, SETS_NO_SKIP], ids=lambda step: step.call)
def test_the_flag_and_the_empty_tree_protect_a_late_walk_independently(change: Step) -> None:
    finding = _explored(_changed("v6.1", replaced=(change,)), KNOWN["S1"], "mrelease-unmarked")[1]
    assert finding.violated is None
    assert finding.reached is not None


def _returns(result: MreleaseResult) -> Property:
    return Property(
        id=f"never-{result.name}",
        name=f"never-{result.name}",
        statement="The call never returns this.",
        source="this test",
        event=Event.MRELEASE_RETURNS,
        then=lambda world, mrelease: mrelease.result != result,
        violation="It does.",
        not_covered="Nothing.",
    )


@pytest.mark.parametrize("era", ["v5.15", "v5.17", "v6.1", "v7.0"])
@pytest.mark.parametrize("result", [each for each in MreleaseResult if each is not MreleaseResult.NONE])
def test_every_result_of_the_manual_is_possible(era: str, result: MreleaseResult) -> None:
    wanted = _returns(result)
    scenarios = ("mrelease-notifiers", "mrelease-sharer", "mrelease-foreign-user")
    found = [_explored(find_era(era), wanted, scenario)[1].violated for scenario in scenarios]
    assert any(hit is not None for hit in found)


@pytest.mark.parametrize("era", ["mrelease-first-form", "v5.15", "v5.17", "v6.1", "v6.8", "v6.14", "v7.0", "v6.18-dev"])
def test_outcomes_are_exclusive_and_together_possible(era: str) -> None:
    names = {made.name for made in GALLERY.objects}
    more = tuple(made for made in GALLERY_OBJECTS if made.name not in names)
    gallery = attrs.evolve(GALLERY, objects=(*GALLERY.objects, *more))
    assert [str(fault) for fault in faults_of(Instance(find_era(era), gallery))] == []

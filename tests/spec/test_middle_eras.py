"""v4.15 to v6.0: what each release repaired, and what it brought.

What must fail must fail at the recorded depth, and what must hold must be reached at all. Where a
change is what makes the difference, the same era without the change must fail.
"""

from __future__ import annotations

from functools import cache

import attrs
import pytest

from oom_spec.eras import e05_v4_14 as v4_14
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration, Finding, replay
from oom_spec.instances import Instance
from oom_spec.language import Era, Scenario, Step, make, negate, requires
from oom_spec.properties import find_properties
from oom_spec.properties.lemmas import SITE_LEMMAS
from oom_spec.protocol import notifiers, queueing, self_reap
from oom_spec.protocol.fences import FENCE
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import MmputAt, ReapAt
from oom_spec.protocol.state import Killer, Mrelease, Reaper, Task
from oom_spec.scenarios import find_scenario
from oom_spec.scenarios.worlds import bounds, process, victim_mm, world

UNMARKED_TARGET = Scenario(
    id="unmarked-target",
    why="process_mrelease of a process that somebody killed, and that no OOM killer ever marks.",
    objects=world(victim_mm(), process("P1", "mm0", sigkill=True), make(Mrelease, "mrelease", target="P1")),
    bounds=bounds(),
)

MUST_FAIL: dict[tuple[str, str, str], int] = {
    # v4.14: the fence asks about current (repaired in v4.15), one gather for the whole mm.
    ("v4.14", "S1", "foreign-user"): 43,
    ("v4.14", "S1", "kthread-fault"): 47,
    ("v4.14", "S9", "tlb"): 28,
    # CVE-2018-1000200, until v4.17.
    ("v4.15", "S2", "memory-kinds"): 36,
    ("v4.16", "S2", "memory-kinds"): 36,
    # MMF_OOM_SKIP comes before mlocked, shared and hugetlb memory is unmapped.
    ("v4.17", "N2x", "memory-kinds"): 36,
    ("v4.14.y", "N2x", "memory-kinds"): 36,
    ("v4.19", "N2x", "memory-kinds"): 29,
    ("v5.17", "N2x", "memory-kinds"): 29,
    ("v6.0", "N2x", "memory-kinds"): 30,
    # The head-or-link test, until v4.20.
    ("v4.18", "S6m", "dying-threads"): 19,
    ("v4.20", "S6m", "dying-threads"): 19,
    ("v4.20", "S6t", "dying-threads"): 28,
    ("v4.20", "S6m", "group-of-sharers"): 29,
    # v5.2 - v5.5: a dying process is out of a cgroup scan's sight; later only where its leader went first.
    ("v5.2", "N1v", "memcg"): 25,
    ("v5.5", "N1v", "memcg"): 25,
    ("v5.6", "N1v", "memcg-threads"): 33,
    # process_mrelease and the dangling list of VMAs.
    ("v5.17-rc", "S1", "unmarked-target"): 29,
    # Proposals.
    ("hocko-2017-08-10", "S1", "foreign-user"): 38,
    ("hocko-2017-08-10", "S2", "memory-kinds"): 32,
}

MUST_HOLD: tuple[tuple[str, str, str], ...] = (
    *(("v4.15", "S1", scenario) for scenario in ("single", "foreign-user", "kthread-fault")),
    ("v4.15", "S9", "tlb"),
    *(("v4.15", name, "single") for name in ("N1s", "N2r", "N2x", "S7", "S8")),
    *((era, "S2", "memory-kinds") for era in ("v4.17", "v4.14.y", "v4.19", "v5.0", "v5.17")),
    *((era, "S1", "memory-kinds") for era in ("v4.17", "v4.14.y", "v4.19", "v5.17", "v5.18", "v6.0")),
    *((era, "S1", "foreign-user") for era in ("v4.17", "v4.19", "v5.17", "v6.0")),
    *((era, "N2r", "blockable-notifiers") for era in ("v4.16", "v4.19")),
    *(("v4.19", name, "single") for name in ("N1s", "N1v", "N2r", "S1", "S7", "S8", "S10")),
    *((era, "L2s", "blocked-aio") for era in ("v4.15", "v4.17", "v4.19", "v5.17", "v5.18")),
    ("v5.0", "S6m", "dying-threads"),
    ("v5.0", "S6m", "dying-allocates"),
    ("v5.0", "S6t", "dying-threads"),
    ("v5.0", "S6m", "group-of-sharers"),
    ("v5.0", "S6t", "group-of-sharers"),
    ("v5.1", "N1v", "memcg"),
    ("v5.1", "N1v", "memcg-threads"),
    ("v5.6", "N1v", "memcg"),
    ("v5.17", "S1", "unmarked-target"),
    ("v6.0", "S1", "unmarked-target"),
    ("v6.0", "S4", "kthread-fault"),
    ("v6.0", "S7", "single"),
)


def _scenario(name: str) -> Scenario:
    own = {each.id: each for each in (UNMARKED_TARGET,)}
    return own.get(name) or find_scenario(name)


def _explored(era: Era, name: str, scenario: str) -> tuple[Exploration, Finding]:
    (prop,) = find_properties(name)
    exploration = Exploration(Instance(era, _scenario(scenario)), [prop])
    assert not exploration.truncated
    return exploration, exploration.findings[prop.id]


@cache
def _of_era(era: str, name: str, scenario: str) -> tuple[Exploration, Finding]:
    return _explored(find_era(era), name, scenario)


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


def _changed(parent: str, *, replaced: tuple[Step, ...] = (), removed: tuple[str, ...] = ()) -> Era:
    return Era(id="changed", title="changed", parent=find_era(parent), replaced=replaced, removed=removed)


def _tests_without_setting(killer: Killer, task: Task) -> None:
    requires(negate(task.process.mm.reap_queued), Guard.NOT_REAP_QUEUED)


def _looks_at_nothing(reaper: Reaper, task: Task) -> None:
    pass


NO_FENCE = _changed(
    "v4.19",
    replaced=(attrs.evolve(self_reap.sets_skip, then=MmputAt.MUNLOCK),),
    removed=tuple(each.id for each in FENCE),
)

WITHOUT_THE_CHANGE: dict[str, tuple[Era, str, str]] = {
    "no fence before munlock: munlock beside the reaper": (
        NO_FENCE,
        "S2",
        "memory-kinds",
    ),
    "no fence before munlock: page tables freed beside the reaper": (
        NO_FENCE,
        "S1",
        "single",
    ),
    "the reaper does not look at MMF_OOM_SKIP": (
        _changed(
            "v4.19",
            replaced=(attrs.evolve(v4_14.skip_is_clear, function=_looks_at_nothing),),
            removed=(v4_14.skip_is_set.id,),
        ),
        "S1",
        "single",
    ),
    "an incomplete pass counts as success": (
        _changed("v4.19", replaced=(attrs.evolve(notifiers.pass_incomplete, then=ReapAt.UP_READ_REAPED),)),
        "N2r",
        "blockable-notifiers",
    ),
    "MMF_OOM_REAP_QUEUED is tested and not set": (
        _changed("v5.0", replaced=(attrs.evolve(queueing.dying_first, function=_tests_without_setting),)),
        "S6m",
        "dying-threads",
    ),
}


@pytest.mark.parametrize("what", WITHOUT_THE_CHANGE)
def test_without_the_change_the_property_fails(what: str) -> None:
    era, name, scenario = WITHOUT_THE_CHANGE[what]
    assert _of_era(str(era.parent and era.parent.id), name, scenario)[1].violated is None
    assert _explored(era, name, scenario)[1].violated is not None


@pytest.mark.parametrize(("era", "scenario"), [("v4.14", "notifiers"), ("v4.16", "blockable-notifiers")])
def test_giving_up_on_notifiers_is_an_excuse_of_its_time(era: str, scenario: str) -> None:
    assert set(_of_era(era, "N2r", scenario)[1].excuses) == {"NOTIFIERS"}


def test_from_v4_19_on_notifiers_cost_attempts() -> None:
    assert set(_of_era("v4.19", "N2r", "blockable-notifiers")[1].excuses) == {"TEN_FAILED"}


def test_notifiers_that_cannot_block_need_no_excuse_from_v4_16_on() -> None:
    assert _of_era("v4.15", "N2r", "notifiers")[1].violated_strictly is not None
    assert _of_era("v4.16", "N2r", "notifiers")[1].violated_strictly is None


@pytest.mark.parametrize("scenario", ["single", "dying-threads", "group-of-sharers"])
@pytest.mark.parametrize("era", ["v4.15", "v4.17", "v4.19", "v5.0", "v5.17", "v6.0", "hocko-rfc-2018-09-10"])
def test_lemmas_hold_in_every_reachable_state(era: str, scenario: str) -> None:
    exploration = Exploration(Instance(find_era(era), _scenario(scenario)), SITE_LEMMAS)
    assert not exploration.truncated
    assert [finding.property.id for finding in exploration.findings.values() if finding.violated] == []

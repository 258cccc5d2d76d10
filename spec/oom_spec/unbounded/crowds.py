"""Worlds too large to explore, of which random runs show some states: more victims, killers and faults at once.

What holds in every state of small worlds may hold only because they are small. States of these show
some of that, so fewer wrong lemmas are tried. They prove nothing, and no verdict rests on them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

from oom_spec.applicability import irrelevant, small_worlds
from oom_spec.exploring import Exploration
from oom_spec.generating import generate
from oom_spec.instances import Instance
from oom_spec.language import Scenario, make
from oom_spec.language.eras import Era
from oom_spec.language.objects import Made, Object, fields_declared
from oom_spec.packing import Packing
from oom_spec.protocol.state import Fault, Fork, Killer, Mm, Mrelease, Page, Presence, Scanner, Walker
from oom_spec.reporting import Progress, silent
from oom_spec.scenarios.worlds import REAPER, bounds, killer, process, world
from oom_spec.unbounded.small_worlds import SmallWorld, SmallWorlds, Successors

WORLDS = 30
"""How many such worlds there are."""
RUNS = 300
"""Random runs in each of them."""
BUSY = 60
"""How many worlds there are with one mm."""
LENGTH = 160
"""Steps after which a run is broken off."""
FAULTS: tuple[dict[str, object], ...] = (
    {"kernel_thread": True},
    {},
    {"file_page": True},
    {"file_page": True, "around": True},
)


def _mm(chance: random.Random, name: str, share: float = 0.5) -> Made:
    """An mm with memory of some kinds, and some who use it from outside; ``share``: how likely each of them is."""
    kinds: tuple[dict[str, object], ...] = (
        {"reapable": 1},
        {"reapable": 1, "mlocked": 1, "vm_locked": True, "unreapable": 1},
        {"reapable": 0, "watched": Page.PRIVATE},
        {"reapable": 0, "watched": Page.EMPTY},
        {"reapable": 0, "vmas": Presence.NEVER, "unmapped": True},
    )
    flags = ("notifiers", "foreign_may_read", "foreign_may_write", "aio_may_block", "flush_skipped")
    values = {**chance.choice(kinds), **{flag: True for flag in flags if chance.random() < share}}
    values["ksmd"] = chance.random() < 0.5
    if chance.random() < share:
        values["scanner"] = Scanner.WORKING
    return make(
        Mm, name, **values, foreign_users=int(chance.random() < share), notifiers_may_block=chance.random() < 0.5
    )


def _killer(chance: random.Random, name: str, tasks: Sequence[str], processes: Sequence[str]) -> Made:
    memcg = chance.random() < 0.3
    current = {"current": chance.choice(tasks)} if chance.random() < 0.4 else {}
    share = chance.choice((0.4, 0.8, 1.0))
    eligible = tuple(each for each in processes if chance.random() < share)
    return killer(name, eligible=eligible, memcg=memcg, oom_group=memcg and chance.random() < 0.5, **current)


def _about(made: Sequence[Made | tuple[Made, ...]]) -> tuple[type[Object], ...]:
    kinds = {each.kind: None for each in made if isinstance(each, Made)}
    return tuple(kind for kind in kinds if kind in (Mrelease, Fork, Walker))


def crowd(number: int) -> Scenario:
    """One of the worlds: who is in it is a matter of chance, but always the same."""
    chance = random.Random(number)  # noqa: S311 - not a secret
    mms = [f"mm{n}" for n in range(2)]
    made: list[Made | tuple[Made, ...]] = [REAPER, *(_mm(chance, each) for each in mms)]
    tasks: list[str] = []
    processes = [f"P{n}" for n in range(1, chance.choice((3, 4)))]
    for each in processes:
        threads = chance.choice((1, 1, 2))
        flags = {flag: True for flag in ("may_exit", "may_exec") if chance.random() < 0.4 and threads == 1}
        flags |= {flag: True for flag in ("may_exit", "never_exits", "sigkill") if chance.random() < 0.2}
        made.append(process(each, chance.choice(mms), threads=threads, **flags))
        tasks += [f"{each}.t{n}" for n in range(threads)]
    if chance.random() < 0.3:
        made.append(process("init", chance.choice(mms), global_init=True))
    used: set[object] = set()
    for n in range(chance.choice((1, 2, 2, 3))):
        found = _killer(chance, f"killer-{n}", [each for each in tasks if each not in used], processes)
        used.add(found.values.get("current"))
        made.append(found)
    if number % 2:
        for n in range(2):
            kind = chance.choice(FAULTS)
            made.append(make(Fault, f"fault-{n}", mm=chance.choice(mms), pins=True, at_watched=True, **kind))
    if number % 3 == 0:
        made += [make(Mrelease, f"mrelease-{n}", target=chance.choice(processes)) for n in range(2)]
    if number % 4 == 0:
        made += [make(Mm, "mm-child", vmas=Presence.NEVER), make(Fork, "forker", child="mm-child")]
        made += [make(Walker, f"walker-{n}", mm=m, swapoff=n == 0) for n, m in enumerate(("mm-child", "mm0"))]
    return Scenario(
        id=f"crowd-{number}",
        why="Random runs in it show states that no small world has.",
        objects=world(*made),
        bounds=bounds(pages=2, retries=2, users=1),
        about=_about(made),
        slow=True,
    )


def busy(number: int) -> Scenario:
    """One victim whose mm some others are after."""
    chance = random.Random(1000 + number)  # noqa: S311 - not a secret

    def some(share: float) -> bool:
        return chance.random() < share

    killed = number % 4 != 3
    made: list[Made | tuple[Made, ...]] = [
        REAPER,
        _mm(chance, "mm0", chance.choice((0.5, 0.9))),
        process("P1", "mm0", threads=chance.choice((1, 1, 2)), may_exit=some(0.5) or not killed),
    ]
    if killed:
        made.append(killer("killer-A", eligible=("P1",), memcg=some(0.3)))
    if some(0.3):
        made.append(make(Killer, "killer-self", current="P1.t0", eligible={"P1": True}))
    if some(0.3):
        made.append(process("P2", "mm0", may_exit=True, sigkill=some(0.5)))
    if some(0.3):
        made.append(process("init", "mm0", global_init=True))
    if number % 2:
        made += [make(Mrelease, f"mrelease-{n}", target="P1") for n in range(chance.choice((1, 1, 2)))]
    if number % 3 == 0:
        made.append(make(Fault, "fault", mm="mm0", pins=True, at_watched=True, **chance.choice(FAULTS)))
    if number % 8 > 5:
        made.append(make(Walker, "walker", mm="mm0", swapoff=some(0.5)))
    return Scenario(
        id=f"busy-{number}",
        why="Random runs in it show states that no small world has.",
        objects=world(*made),
        bounds=bounds(retries=1, users=1),
        about=_about(made),
        slow=True,
    )


CROWDS = (*(crowd(number) for number in range(WORLDS)), *(busy(number) for number in range(BUSY)))


def sample(era: Era, scenario: Scenario) -> tuple[Instance, Packing, tuple[int, ...], Successors]:
    """States that random runs of an era meet in a world; the same in every process.

    Most runs go on from some state that an earlier one met: they get to what is rare.
    """
    return _sample(era, scenario, fields_declared())


@cache
def _sample(era: Era, scenario: Scenario, fields: int) -> tuple[Instance, Packing, tuple[int, ...], Successors]:
    """``fields``: how many are declared."""
    instance = Instance(era, scenario)
    generated = generate(instance)
    packing, successors = generated.packing, generated.successors
    chance = random.Random(scenario.id)  # noqa: S311 - not a secret
    found: dict[int, None] = {packing.initial: None}
    states = [packing.initial]
    for run in range(RUNS):
        state, length = (chance.choice(states), LENGTH // 2) if run % 4 else (packing.initial, LENGTH)
        for _ in range(length):
            reached = successors(state)
            if not reached:
                break
            state = chance.choice(reached)[0]
            if state not in found:
                found[state] = None
                states.append(state)
    return instance, packing, tuple(found), successors


def explored_worlds(era: Era, progress: Progress = silent, scenarios: Sequence[Scenario] | None = None) -> SmallWorlds:
    """All reachable states of ``scenarios``: the small worlds of an era, unless said."""
    chosen = small_worlds(era) if scenarios is None else scenarios
    found = []
    for number, scenario in enumerate(chosen):
        progress(number, len(chosen), f"{era.id} in {scenario.id}")
        exploration = Exploration(Instance(era, scenario))
        found.append(SmallWorld(exploration.instance, exploration.packing, tuple(exploration.parents)))
    return SmallWorlds(found)


def crowded_worlds(era: Era, progress: Progress = silent) -> SmallWorlds:
    """The same, and states that random runs meet in larger worlds, which come first."""
    sampled = [SmallWorld(*sample(era, scenario)) for scenario in CROWDS if not irrelevant(era, scenario)]
    return SmallWorlds([*sampled, *explored_worlds(era, progress).worlds])

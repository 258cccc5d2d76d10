"""A tiny world for questions of progress: a baker, who may be counted on, and an oven, which others may occupy.

Its class names must not clash with the real ones, because `Object.classes` is keyed by class name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, unique
from functools import partial

from oom_spec.exploring import Exploration
from oom_spec.instances import Instance
from oom_spec.language import (
    Era,
    Graph,
    Object,
    Property,
    Scenario,
    Step,
    World,
    count,
    flag,
    full,
    make,
    negate,
    program_counter,
    requires,
    step,
)


@unique
class BakerAt(Enum):
    """Where a baker stands."""

    HOME = "at home"
    WORK = "at work"


@unique
class Because(Enum):
    """The guards of this toy."""

    FREE = "the oven is free"
    TAKEN = "the oven is taken"
    COLD = "there is no bread yet"


class Oven(Object):
    """One oven, which an idler may occupy."""

    taken = flag("The idler has it.")
    bread = flag("There is bread.")
    warm = flag("Somebody heated it.")
    ordered = flag("Somebody waits for bread from it.")
    turns = count("How often somebody turned it.", upto="turns")


class Baker(Object):
    """Somebody who may be counted on, or not."""

    at = program_counter("Where the baker stands.", BakerAt, rest=(BakerAt.HOME,))


idler = partial(step, Oven, kernel="toy/oven.c:idle", environment=True)
baker = partial(step, Baker, kernel="toy/oven.c:bake")


@idler(call="occupy")
def occupies(oven: Oven) -> None:
    """The idler takes the oven."""
    requires(negate(oven.taken), Because.FREE)
    oven.taken = True


@idler(call="leave")
def leaves(oven: Oven) -> None:
    """And leaves it."""
    requires(oven.taken, Because.TAKEN)
    oven.taken = False


@baker(call="bake")
def bakes(baker: Baker, oven: Oven) -> None:
    """Needs the oven."""
    requires(negate(oven.taken), Because.FREE)
    requires(negate(oven.bread), Because.COLD)
    oven.bread = True


@baker(call="look")
def looks(baker: Baker, oven: Oven) -> None:
    """Looks at the oven, again and again, which bakes nothing."""
    requires(negate(oven.bread), Because.COLD)
    oven.warm = negate(oven.warm)


@baker(at=BakerAt.HOME, then=BakerAt.WORK, call="go", environment=True)
def goes_to_work(baker: Baker) -> None:
    """Comes to work, some day."""


@baker(at=BakerAt.WORK, then=BakerAt.HOME, call="bake at work")
def works(baker: Baker, oven: Oven) -> None:
    """At work, the oven is waited for."""
    requires(negate(oven.taken), Because.FREE)


@idler(call="idle")
def idles(oven: Oven) -> None:
    """Does nothing, and changes nothing."""
    oven.taken = oven.taken


@idler(call="fiddle")
def fiddles(oven: Oven) -> None:
    """Heats the oven and lets it cool again."""
    oven.warm = negate(oven.warm)


@idler(call="cool")
def cools(oven: Oven) -> None:
    """The oven cools."""
    requires(oven.warm, Because.TAKEN)
    oven.warm = False


@baker(call="heat")
def heats(baker: Baker, oven: Oven) -> None:
    """The baker heats a cold oven, which bakes nothing."""
    requires(negate(oven.warm), Because.COLD)
    oven.warm = True


@baker(call="turn")
def turns(baker: Baker, oven: Oven) -> None:
    """Turns the oven round, which is counted and never comes to an end."""
    requires(negate(oven.bread), Because.COLD)
    oven.turns += 1


@baker(call="turn in time")
def turns_in_time(baker: Baker, oven: Oven) -> None:
    """The same, while the counter has room."""
    requires(negate(full(oven, Oven.turns)), Because.FREE)
    oven.turns += 1


@baker(call="move")
def moves_bread(baker: Baker, oven: Oven, other: Oven) -> None:
    """Takes the bread from one oven to the other."""
    requires(oven.bread, Because.COLD)
    requires(negate(other.bread), Because.FREE)
    oven.bread = False
    other.bread = True


@step(World, kernel="toy/timer.c:ring", call="flicker")
def flickers(world: World, oven: Oven) -> None:
    """The timer of an oven without an order rings for nothing, again and again."""
    requires(negate(oven.ordered), Because.FREE)
    oven.warm = negate(oven.warm)


@step(World, kernel="toy/timer.c:ring", call="ring")
def rings(world: World, oven: Oven) -> None:
    """The timer of an oven with an order rings: the bread is done."""
    requires(oven.ordered, Because.TAKEN)
    requires(negate(oven.bread), Because.COLD)
    oven.bread = True


BREAD = Property(
    id="bread",
    name="there-is-bread",
    statement="There is bread in the end.",
    source="the toy",
    over=(Oven,),
    then=lambda world, oven: oven.bread,
    violation="Hunger.",
    not_covered="Nothing.",
    graph=Graph.FAIR,
    actors=(Baker,),
)
NEVER_WAITS = Property(
    id="able",
    name="never-waits",
    statement="The baker at work never waits for the oven.",
    source="the toy",
    over=(Baker,),
    then=lambda world, baker: False,
    violation="Waiting.",
    not_covered="Nothing.",
    graph=Graph.ALWAYS_ABLE,
    actors=(Baker,),
)


def kitchen(
    *,
    bakers: int = 1,
    baker_at: BakerAt = BakerAt.HOME,
    ends: Callable[..., bool] | None = None,
    **ovens: dict[str, bool],
) -> Scenario:
    """A kitchen with these ovens (one, named ``oven``, unless said), by name with the flags that they start with."""
    return Scenario(
        id="kitchen",
        why="A test.",
        objects=(
            *(make(Oven, name, **flags) for name, flags in (ovens or {"oven": {}}).items()),
            *(make(Baker, name, at=baker_at) for name in ("ann", "bob")[:bakers]),
        ),
        bounds={"turns": 2},
        ends=ends,
        ends_text="" if ends is None else "the test says so",
    )


def era_of(*steps: Step) -> Era:
    """An era in which only these steps exist."""
    return Era(id="kitchen", title="", added=steps)


def explored(*steps: Step, taken: bool = False, scenario: Scenario | None = None) -> Exploration:
    """The whole graph of a kitchen in which only these steps exist."""
    scenario = scenario or kitchen(oven={"taken": taken})
    return Exploration(Instance(era_of(*steps), scenario), (), keep_edges=True)


def calls(actions: Iterable[object]) -> list[str]:
    """The calls of some actions."""
    return [action.step.call for action in actions]  # type: ignore[attr-defined]

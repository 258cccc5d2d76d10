"""A tiny protocol for tests of the language: guests who enter a house through its one door.

Its class names must not clash with the real ones, because `Object.classes` is keyed by class name.
"""

from __future__ import annotations

from enum import Enum, unique
from functools import partial
from typing import Any

from oom_spec.language import (
    Era,
    Object,
    Property,
    Scenario,
    World,
    choice,
    count,
    every,
    fixed,
    fixed_flag,
    flag,
    make,
    negate,
    per,
    program_counter,
    reference,
    requires,
    step,
)
from oom_spec.language.errors import MisuseError
from oom_spec.lifting import Path, SymbolicStore, lift_step
from oom_spec.stepping import ConcreteStore, arguments_of


@unique
class GuestAt(Enum):
    """Where a guest stands."""

    OUTSIDE = "before the door"
    INSIDE = "in the house"
    GONE = "left for good"


@unique
class Paint(Enum):
    """The colour of a door."""

    RED = "red"
    BLUE = "blue"
    GREEN = "green"


@unique
class Why(Enum):
    """The guards of the toy."""

    UNLOCKED = "the door is not locked"
    ROOM = "there is room"
    EMPTY = "nobody is inside"
    TEST = "whatever a test requires"


@unique
class Bell(Enum):
    """The events of the toy."""

    RINGS = "guest: somebody enters"


class House(Object):
    """A house with one door."""

    locked = flag("The door is locked.")
    paint = choice("The door's colour.", Paint)
    visits = count("Guests who came in.", upto="visits")
    crowd = count("A count with a large range.", upto=500)
    last: Any = reference("Who came in last.", "Guest")
    seen = per("Guest", flag("This guest was inside."))
    ever_open = flag("The door was open once.", history=True)


class Guest(Object):
    """Somebody who wants to come in."""

    at = program_counter("Where the guest stands.", GuestAt)
    house: Any = fixed("The house.", "House")
    invited = fixed_flag("Has an invitation.")
    inside = flag("Is inside.")


guest_step = partial(step, Guest, kernel="toy/house.c:visit")


@guest_step(at=GuestAt.OUTSIDE, then=GuestAt.INSIDE, call="enter")
def enter(world: World, guest: Guest) -> None:
    """Comes in and is counted."""
    requires(negate(guest.house.locked), Why.UNLOCKED)
    world.announce(Bell.RINGS, guest)
    guest.house.visits += 1
    guest.house.last = guest
    guest.house.seen[guest] = True
    guest.inside = True
    guest.house.ever_open = True


@guest_step(at=GuestAt.INSIDE, then=GuestAt.GONE, call="leave")
def leave(world: World, guest: Guest) -> None:
    """Goes; the last one out locks the door and paints it."""
    guest.inside = False
    if every(world.all(Guest), lambda other: negate(other.inside)):
        guest.house.locked = True
        guest.house.paint = Paint.BLUE if guest.house.paint == Paint.RED else Paint.GREEN


@step(House, kernel="toy/house.c:unlock", call="unlock")
def unlock(world: World, house: House) -> None:
    """Somebody unlocks an empty house and forgets who was in it."""
    requires(house.locked, Why.TEST)
    requires(every(world.all(Guest), lambda guest: negate(guest.inside)), Why.EMPTY)
    house.locked = False
    house.seen.fill(False)


HOUSE = Era(id="toy", title="the house", added=(enter, leave, unlock))

TWO_GUESTS = Scenario(
    id="two-guests",
    why="Two guests; the second would be one too many for the count.",
    objects=(
        make(House, "house"),
        make(Guest, "ann", house="house", invited=True),
        make(Guest, "bob", house="house"),
    ),
    bounds={"visits": 1},
)

ROOM_FOR_TWO = Scenario(
    id="room-for-two", why="Two guests, and both may come in.", objects=TWO_GUESTS.objects, bounds={"visits": 2}
)

NEVER_CROWDED = Property(
    id="T1",
    name="never-crowded",
    statement="Two guests are never inside together.",
    source="the toy",
    over=(House,),
    then=lambda world, house: negate(
        every(world.all(Guest), lambda guest: guest.inside),
    ),
    violation="It is crowded.",
    not_covered="Nothing.",
)


def lift(declared: Any, scenario: Scenario = TWO_GUESTS) -> tuple[Path, ...]:
    """The paths of a step's first instance in a toy scenario."""
    concrete = ConcreteStore(scenario)
    store = SymbolicStore(concrete.structure, concrete.bounds)
    return lift_step(declared, arguments_of(declared, concrete.structure)[0], store)


def complaint(action: Any) -> str:
    """The whole message of the `MisuseError` that ``action`` raises."""
    try:
        action()
    except MisuseError as error:
        return str(error)
    raise AssertionError("no MisuseError was raised")

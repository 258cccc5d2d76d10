"""Scenarios: small named worlds in which a property is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from oom_spec.language.errors import MisuseError
from oom_spec.language.objects import Made, Object
from oom_spec.language.steps import World
from oom_spec.language.terms import Kind, Structure, Value


@attrs.frozen(eq=False)
class Scenario:
    """A world with few objects: who takes part, how it starts, and how far one looks."""

    id: str
    why: str
    """One sentence: what this world is for."""
    objects: tuple[Made, ...]
    bounds: Mapping[str, int]
    """The bounds that counts refer to by name, such as ``pages`` and ``retries``."""
    starts_after: Callable[[World], bool] | None = None
    """Start in the first state of a cold run where this holds: mid-protocol, known reachable."""
    starts_after_text: str = ""
    ends: Callable[[World], bool] | None = None
    """States where this holds are proper ends: nothing is explored beyond them."""
    ends_text: str = ""
    limits: tuple[str, ...] = ()
    """What a verdict in this scenario does not speak of, such as "one thread per process"."""
    slow: bool = False
    """More than about 10^5 states: kept out of the default matrix."""

    def structure(self) -> Structure:
        """The fixed part of the instance.

        Raises `MisuseError` for a name that no object has, or two objects of one name.
        """
        objects: dict[str, tuple[str, ...]] = {"World": ("world",)}
        statics: dict[tuple[str, str], Value] = {}
        names = {made.name: made.kind for made in self.objects}
        if len(names) != len(self.objects):
            raise MisuseError(f"scenario {self.id}: two objects share a name")
        given = {made.name: made for made in self.objects}
        world = given.get("world", Made(World, "world", {}))
        for made in (world, *(each for each in self.objects if each is not world)):
            kind = made.kind.__name__
            if made is not world:
                objects[kind] = (*objects.get(kind, ()), made.name)
            for name, declared in made.kind.statics.items():
                value = made.values.get(name, declared.default)
                named = isinstance(value, str) and names.get(value, Object).__name__ == declared.sort.name
                if declared.sort.kind is Kind.OBJECT and value is not None and not named:
                    raise MisuseError(
                        f"scenario {self.id}: {made.name}.{name} names {value!r}, which is no {declared.sort.name}"
                    )
                assert value is None or isinstance(value, bool | int | str)
                statics[declared.qualified, made.name] = value
        return Structure(objects, statics)

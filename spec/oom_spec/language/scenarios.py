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
    about: tuple[type[Object], ...] = ()
    """Classes of objects that an era must have steps for; elsewhere the scenario says nothing new and is not run."""
    world_values: Mapping[str, object] = attrs.field(factory=dict)
    """Values of the world's own fixed attributes; ``make(World, "world", ...)`` among the objects adds to them."""

    def __attrs_post_init__(self) -> None:
        """Take the world out of the objects: there is one already, and only its fixed attributes can be set.

        Raises `MisuseError` for a second name of the world, or a field that is not fixed.
        """
        given = [made for made in self.objects if made.kind is World]
        values = dict(self.world_values)
        for made in given:
            if made.name != "world":
                raise MisuseError(f"scenario {self.id}: there is one World, named 'world'; {made.name!r} is no other")
            values.update(made.values)
        for name in values:
            if name not in World.statics:
                raise MisuseError(
                    f"scenario {self.id}: World.{name} is not fixed by a scenario: only fixed attributes are given"
                )
        object.__setattr__(self, "objects", tuple(made for made in self.objects if made.kind is not World))
        object.__setattr__(self, "world_values", values)

    def structure(self) -> Structure:
        """The fixed part of the instance.

        Raises `MisuseError` for a name that no object has, or two objects of one name.
        """
        objects: dict[str, tuple[str, ...]] = {"World": ("world",)}
        statics: dict[tuple[str, str], Value] = {}
        names = {made.name: made.kind for made in self.objects}
        if len(names) != len(self.objects):
            raise MisuseError(f"scenario {self.id}: two objects share a name")
        for made in (Made(World, "world", dict(self.world_values)), *self.objects):
            kind = made.kind.__name__
            if made.kind is not World:
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

"""Lemmas for worlds of any size that no annotation says."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from oom_spec.language import World, either, implies, some
from oom_spec.language.objects import Object
from oom_spec.language.terms import Term
from oom_spec.protocol.state import Fork, Mm, Presence
from oom_spec.unbounded.opening import open_formula


@attrs.frozen(eq=False)
class Lemma:
    """A fact about reachable states that proofs lean on."""

    name: str
    statement: str
    """One sentence."""
    reason: str
    over: tuple[type[Object], ...]
    holds: Callable[..., bool]

    @property
    def formula(self) -> Term:
        """One closed term about all objects."""
        return open_formula(self.holds, self.over)


def nothing_without_vmas(world: World, mm: Mm) -> bool:
    """No VMA, nothing to unmap."""
    being_built = some(world.all(Fork), lambda fork: fork.child == mm)
    return implies(mm.vmas == Presence.NEVER, either(mm.unmapped, being_built))


LEMMAS = (
    Lemma(
        "nothing-without-vmas",
        "An mm without any VMA has nothing to unmap, unless a fork is to build it.",
        "exit_mmap returns at once where mm->mmap is NULL",
        (Mm,),
        nothing_without_vmas,
    ),
)

__all__ = ["LEMMAS", "Lemma"]

"""Eras: base steps plus a delta, resolved into a flat tuple.

An era states what it adds, replaces and removes, and why. A proposal that was never merged, a
strawman and a user's own patch are eras too.
"""

from __future__ import annotations

import difflib
from enum import Enum, unique

import attrs

from oom_spec.language.errors import MisuseError, UnknownNameError
from oom_spec.language.steps import Step, unique_ids


@unique
class Standing(Enum):
    """What became of the code of an era."""

    RELEASED = "released"
    REPAIRED = "merged, and changed again before the release"
    PROPOSED = "proposed, never merged"
    STRAWMAN = "what somebody feared, never proposed"


@attrs.frozen(eq=False)
class Era:
    """One version of the protocol."""

    id: str
    title: str
    aliases: tuple[str, ...] = ()
    """Releases and other names: ``v4.12``, ``4.12``."""
    opened_by: str = ""
    """The commit, or the mail, that brought it."""
    standing: Standing = Standing.RELEASED
    why: str = ""
    parent: Era | None = None
    added: tuple[Step, ...] = ()
    replaced: tuple[Step, ...] = ()
    """Steps that take the place of the parent's step of the same id."""
    removed: tuple[str, ...] = ()
    """Ids of the parent's steps that are gone."""
    file: str = ""
    """The absolute path of the file that a user's patch was read from; empty for an era of the package."""

    @property
    def locator(self) -> str:
        """What `oom_spec.eras.find_era` finds it by, in another process too: its file, else its id."""
        return self.file or self.id

    def without(self, ids: tuple[str, ...]) -> Era:
        """This era with some steps left out: a question about it, not another era."""
        return attrs.evolve(self, parent=self, added=(), replaced=(), removed=ids)

    def step(self, name: str) -> Step:
        """The step with this id, to be moved by ``attrs.evolve(era.step("..."), then=...)`` or asked about.

        Raises `UnknownNameError`, suggesting the nearest id, where this era has none.
        """
        known = {each.id: each for each in self.steps}
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else ";"
            raise UnknownNameError(f"{self.id} has no step {name!r}{hint} `oomspec show {self.id}` lists them all")
        return known[name]

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps of this era.

        Raises `MisuseError` where the delta does not fit the parent.
        """
        base = () if self.parent is None else self.parent.steps
        known = {each.id for each in base}
        new = {each.id: each for each in self.replaced}
        both = set(new) & set(self.removed)
        if both:
            raise MisuseError(f"era {self.id} both replaces and removes `{min(both)}`: keep one of the two")
        for missing in [*(set(new) - known), *(set(self.removed) - known)]:
            near = "this era has no parent" if self.parent is None else f"{self.parent.id} has no such step"
            raise MisuseError(f"era {self.id} replaces or removes `{missing}`, but {near}")
        kept = tuple(new.get(each.id, each) for each in base if each.id not in set(self.removed))
        result = kept + self.added
        unique_ids(result)
        return result

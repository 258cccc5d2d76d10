"""The lemmas that proofs start from, as clauses in a file beside this one.

Each says which eras' proofs start from it. Nothing is believed because it is written there: every proof
shows anew which lemmas of its era are inductive.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files

import attrs

from oom_spec.language.eras import Era
from oom_spec.language.errors import SpecError
from oom_spec.language.terms import Term
from oom_spec.unbounded.clauses import Clause, block, read_blocks
from oom_spec.unbounded.lemmas import LEMMAS
from oom_spec.unbounded.opening import never_all

FILE = "recorded.toml"


@attrs.frozen
class Recorded:
    """One of them."""

    name: str
    clause: Clause
    eras: tuple[str, ...]
    """Ids of the eras whose proofs start from it."""
    needs: tuple[str, ...] = ()
    """Names of lemmas that were enough to show it, beside itself: a hint where to begin."""

    @property
    def formula(self) -> Term:
        """One closed term about all objects."""
        return never_all(self.clause.literals)


def written() -> tuple[Recorded, ...]:
    """The lemmas that a person wrote, for no era yet."""
    return tuple(Recorded(each.name, each.clause, ()) for each in LEMMAS)


@cache
def load() -> tuple[Recorded, ...]:
    """All recorded lemmas. Raises `SpecError` where the file is damaged."""
    try:
        return read(files("oom_spec.unbounded").joinpath(FILE).read_text("utf-8"), FILE)
    except (OSError, SpecError) as damage:
        raise SpecError(f"the recorded lemmas are damaged ({damage}); reinstall oomspec") from damage


def read(text: str, where: str) -> tuple[Recorded, ...]:
    """The lemmas of a file. Raises `SpecError` with one line that names ``where``."""
    blocks = read_blocks(text, where, "lemma", ("eras", "needs"))
    return tuple(Recorded(name, said, lists["eras"], lists["needs"]) for name, (said, lists) in blocks.items())


def recorded_for(era: Era, known: Iterable[Era], lemmas: Iterable[Recorded] | None = None) -> list[Recorded]:
    """The lemmas of an era; for one that has none, those of the era among ``known`` that shares most steps with it.

    ``lemmas`` are those that come with oomspec, if not said.
    """
    recorded = list(load() if lemmas is None else lemmas)
    found = [each for each in recorded if era.id in each.eras]
    if found:
        return found
    steps = set(era.steps)
    having = {name for each in recorded for name in each.eras}
    near = max((each for each in known if each.id in having), key=lambda e: len(steps & set(e.steps)), default=None)
    return [] if near is None else [each for each in recorded if near.id in each.eras]


def write(lemmas: Iterable[Recorded]) -> str:
    """Lemmas in the form of the file."""
    lines = [
        "# Lemmas for worlds of any size: never all of these together. Each proof shows anew that they are inductive."
    ]
    for each in sorted(lemmas, key=lambda lemma: lemma.name):
        lines += ["", *block(each.name, each.clause, "lemma", {"eras": each.eras, "needs": sorted(each.needs)})]
    return "\n".join(lines) + "\n"


__all__ = ["Recorded", "load", "read", "recorded_for", "write", "written"]

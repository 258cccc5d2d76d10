"""The lemmas that proofs start from, as clauses in a file beside this one.

Each says which eras' proofs start from it. Nothing is believed because it is written there: every proof
shows anew which lemmas of its era are inductive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

import attrs

from oom_spec.language.eras import Era
from oom_spec.language.errors import SpecError
from oom_spec.language.terms import Term
from oom_spec.unbounded.clauses import Clause, block, names_of, read_blocks
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


@cache
def load() -> tuple[Recorded, ...]:
    """All recorded lemmas. Raises `SpecError` where the file is damaged."""
    try:
        text = files("oom_spec.unbounded").joinpath(FILE).read_text("utf-8")
        blocks = read_blocks(text, FILE, "lemma", ("eras", "needs"))
    except (OSError, SpecError) as damage:
        raise SpecError(f"the recorded lemmas are damaged ({damage}); reinstall oomspec") from damage
    return tuple(Recorded(name, said, lists["eras"], lists["needs"]) for name, (said, lists) in blocks.items())


def recorded_for(era: Era, known: Iterable[Era]) -> list[Recorded]:
    """The lemmas of an era; for one that has none, those of the era among ``known`` that shares most steps with it."""
    found = [each for each in load() if era.id in each.eras]
    if found:
        return found
    steps = set(era.steps)
    having = {name for each in load() for name in each.eras}
    near = max((each for each in known if each.id in having), key=lambda e: len(steps & set(e.steps)), default=None)
    return [] if near is None else [each for each in load() if near.id in each.eras]


def write(clauses: Mapping[Clause, Iterable[str]], needs: Mapping[Clause, Iterable[Clause]] | None = None) -> str:
    """Clauses, each with the eras in which it holds, in the form of the file; ``needs``: what each was shown with."""
    names = names_of(clauses)
    name_of = {each: name for name, each in names.items()}
    lines = [
        "# Lemmas for worlds of any size: never all of these together. Each proof shows anew that they are inductive."
    ]
    for name, each in sorted(names.items()):
        needed = sorted(name_of[other] for other in (needs or {}).get(each, ()) if other in name_of)
        lines += ["", *block(name, each, "lemma", {"eras": tuple(clauses[each]), "needs": needed})]
    return "\n".join(lines) + "\n"


__all__ = ["Recorded", "load", "recorded_for", "write"]

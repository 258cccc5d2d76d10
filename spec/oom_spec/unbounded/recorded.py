"""The lemmas that proofs start from, as clauses in a file beside this one.

Each says which eras' proofs start from it. Nothing is believed because it is written there: every proof
shows anew which lemmas of its era are inductive.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

import attrs

from oom_spec.language.eras import Era
from oom_spec.language.errors import SpecError
from oom_spec.language.terms import Term
from oom_spec.unbounded.clauses import Clause, names_of, read_clause
from oom_spec.unbounded.opening import never_all
from oom_spec.unbounded.sentences import sentence

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
        raw = tomllib.loads(files("oom_spec.unbounded").joinpath(FILE).read_text("utf-8"))
        return tuple(
            Recorded(str(each["name"]), read_clause(each["never"]), tuple(each["eras"]), tuple(each["needs"]))
            for each in raw["lemma"]
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, SpecError) as damage:
        raise SpecError(f"the recorded lemmas in {FILE} are damaged ({damage}); reinstall oomspec") from damage


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
    lines = [
        "# Lemmas for worlds of any size: never all of these together. Each proof shows anew that they are inductive."
    ]
    for name, each in sorted(names.items()):
        never = [f"    {json.dumps(text)}," for text in each.texts]
        eras = ", ".join(map(json.dumps, clauses[each]))
        known = {clause: name for name, clause in names.items()}
        needed = ", ".join(sorted(json.dumps(known[other]) for other in (needs or {}).get(each, ()) if other in known))
        lines += ["", f"# {sentence(each)}", "[[lemma]]", f"name = {json.dumps(name)}", "never = [", *never, "]"]
        lines += [f"eras = [{eras}]", f"needs = [{needed}]"]
    return "\n".join(lines) + "\n"


__all__ = ["Recorded", "load", "recorded_for", "write"]

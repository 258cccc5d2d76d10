"""What a lemma by hand is."""

from __future__ import annotations

from functools import cached_property

import attrs

from oom_spec.language.terms import Term
from oom_spec.unbounded.clauses import Clause, read_clause
from oom_spec.unbounded.opening import never_all


@attrs.frozen(slots=False)
class Lemma:
    """A fact about reachable states that proofs lean on."""

    name: str
    statement: str
    """One sentence."""
    reason: str
    never: tuple[str, ...]
    """What is never true all at once (`oom_spec.unbounded.literals`)."""

    @cached_property
    def clause(self) -> Clause:
        """The same, read."""
        return read_clause(self.never)

    @property
    def formula(self) -> Term:
        """One closed term about all objects."""
        return never_all(self.clause.literals)


__all__ = ["Lemma"]

"""Lemmas for worlds of any size that a person wrote: what the search for others does not find by itself."""

from __future__ import annotations

import attrs

from oom_spec.language.terms import Term
from oom_spec.unbounded.clauses import read_clause
from oom_spec.unbounded.opening import never_all


@attrs.frozen
class Lemma:
    """A fact about reachable states that proofs lean on."""

    name: str
    statement: str
    """One sentence."""
    reason: str
    never: tuple[str, ...]
    """What is never true all at once (`oom_spec.unbounded.literals`)."""

    @property
    def formula(self) -> Term:
        """One closed term about all objects."""
        return never_all(read_clause(self.never).literals)


LEMMAS = (
    Lemma(
        "nothing-without-vmas",
        "An mm without any VMA has nothing to unmap, unless a fork is to build it.",
        "exit_mmap returns at once where mm->mmap is NULL",
        ("mm1.vmas is NEVER", "not mm1.unmapped", "no fork: fork.child is mm1"),
    ),
    Lemma(
        "uncounted-only-while-marked",
        "Where signal->oom_mm has no mm_count of its own, a killer is just marking a thread of this process.",
        "mark_oom_victim: mmgrab follows cmpxchg(oom_mm) (26db62f179d1)",
        (
            "process1.oom_mm",
            "not process1.oom_mm_counted",
            (
                "no killer: (killer.at is MARK_MMGRAB or DYING_MMGRAB) and "
                "(some task: killer.victim is task and task.process is process1)"
            ),
        ),
    ),
)

__all__ = ["LEMMAS", "Lemma"]

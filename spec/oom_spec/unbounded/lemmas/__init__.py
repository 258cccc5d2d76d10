"""Lemmas for worlds of any size that a person wrote: what the search for others does not find by itself.

In which eras they hold, and proofs begin with them, is recorded with those that were found (`recorded`).
"""

from __future__ import annotations

from oom_spec.unbounded.lemmas.forks import CHILD, HALF_BUILT
from oom_spec.unbounded.lemmas.lemma import Lemma
from oom_spec.unbounded.lemmas.locks import OOM_LOCK
from oom_spec.unbounded.lemmas.marks import ALLOCATOR, INIT, MEMDIE, SCANS
from oom_spec.unbounded.lemmas.mmap_lock import READERS, SAID_BEFORE, WRITERS
from oom_spec.unbounded.lemmas.queue import OWED, QUEUED
from oom_spec.unbounded.lemmas.skip import TRUE_SKIP
from oom_spec.unbounded.lemmas.structs import STRUCTURE, USERS
from oom_spec.unbounded.lemmas.walks import FAULTS, NOT_BEFORE, PINNED, THERE, WHOSE

LEMMAS: tuple[Lemma, ...] = (
    *(*STRUCTURE, *USERS, *OOM_LOCK, *QUEUED, *OWED, *TRUE_SKIP),
    *(*READERS, *WRITERS, *SAID_BEFORE, *WHOSE, *THERE, *NOT_BEFORE, *PINNED, *FAULTS, *CHILD, *HALF_BUILT),
    *(*ALLOCATOR, *INIT, *MEMDIE, *SCANS),
)

__all__ = ["LEMMAS", "Lemma"]

"""Lemmas for worlds of any size that a person wrote: what the search for others does not find by itself.

In which eras they hold, and proofs begin with them, is recorded with those that were found (`recorded`).
"""

from __future__ import annotations

from oom_spec.unbounded.lemmas.lemma import Lemma
from oom_spec.unbounded.lemmas.locks import OOM_LOCK
from oom_spec.unbounded.lemmas.queue import OWED, QUEUED
from oom_spec.unbounded.lemmas.skip import TRUE_SKIP
from oom_spec.unbounded.lemmas.structs import STRUCTURE, USERS

LEMMAS: tuple[Lemma, ...] = (*STRUCTURE, *USERS, *OOM_LOCK, *QUEUED, *OWED, *TRUE_SKIP)

__all__ = ["LEMMAS", "Lemma"]

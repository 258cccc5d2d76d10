"""E15: v7.0 - v7.1. A failed dup_mmap tears its own tree down; there is no XA_ZERO marker any more."""

from functools import partial

from oom_spec.eras.e14_v6_18 import E14
from oom_spec.language import Era, step
from oom_spec.protocol import fork, maple
from oom_spec.protocol.fork import WHERE_IT_FAILS
from oom_spec.protocol.points import ForkAt
from oom_spec.protocol.state import Fork, Presence

dup_mmap = partial(step, Fork, kernel="mm/mmap.c:dup_mmap")


@dup_mmap(at=ForkAt.COPY, then=ForkAt.SET_SKIP, call="vm_area_dup", outcome="fails", oracle=WHERE_IT_FAILS)
def copy_fails(fork: Fork) -> None:
    """No memory, or a fatal signal for the parent. No marker is needed: the tree does not survive the lock."""


@dup_mmap(at=ForkAt.SET_SKIP, then=ForkAt.TEAR_DOWN, call="set_bit(MMF_OOM_SKIP)")
def fork_sets_skip(fork: Fork) -> None:
    """In every case, before anything is freed; nobody can look before the lock is released."""
    fork.child.oom_skip = True


@dup_mmap(at=ForkAt.TEAR_DOWN, then=ForkAt.SET_UNSTABLE, call="tear_down_vmas")
def tears_down(fork: Fork) -> None:
    """unmap_region, tear_down_vmas and __mt_destroy up to the point of failure, all under the child's write lock.

    They are one step: whoever could use the tree takes mmap_lock first. rmap walkers, which do not,
    are outside of the model.
    """
    child = fork.child
    child.reapable = 0
    child.unmapped = True
    child.page_tables = Presence.FREED
    child.vmas = Presence.FREED
    child.no_mmap = True


E15 = Era(
    id="E15",
    aliases=("v7.0", "v7.1", "7.0", "7.1"),
    title="v7.0 - v7.1: a failed dup_mmap frees what it copied, under the child's write lock",
    opened_by='the series "Remove XA_ZERO from error recovery of dup_mmap()", patch "mm: change dup_mmap() recovery"',
    why="Nobody finds a half-built tree, because there is none when the lock is released; exit_mmap finds it empty.",
    parent=E14,
    added=(tears_down,),
    replaced=(copy_fails, fork_sets_skip, maple.destroy_tree, maple.destroy_own_tree),
    removed=(fork.marks_failure.id, fork.needs_no_marker.id),
)

ERAS = (E15,)

"""process_mrelease, and trees that a failed fork left half-built."""

from __future__ import annotations

from oom_spec.language import Property, World, both, either, every, implies, negate
from oom_spec.properties.safety import zapped_from_outside
from oom_spec.protocol.names import Event
from oom_spec.protocol.state import Executor, Mm, Mrelease, MreleaseResult, Walker

NO_MRELEASE = "there is no process_mrelease"

S5M = Property(
    id="S5m",
    name="mrelease-never-tears-down",
    statement="A process_mrelease caller never executes __mmput of its target.",
    source='ba535c1caf3e "mm/oom_kill: allow process_mrelease to run under mmap_lock protection"',
    event=Event.MMPUT_BEGINS,
    then=lambda world, mm, executor: executor is not Executor.MRELEASE,
    needs=((Mrelease.reads, True),),
    absent=NO_MRELEASE,
    violation="The caller, who wanted to free memory, hangs in exit_aio of its target.",
    not_covered="That the caller may wait for mmap_lock.",
)


def returned_truly(world: World, mrelease: Mrelease) -> bool:
    """It completed a pass, or saw that somebody else had done the work."""
    return either(mrelease.passed, mrelease.saw_skip)


M1 = Property(
    id="M1",
    name="mrelease-success-means-done",
    statement="process_mrelease returns 0 only if it completed a pass or saw MMF_OOM_SKIP set.",
    source='fde591dad109 "mm/oom_kill.c: fix inverted check"; process_mrelease(2)',
    event=Event.MRELEASE_RETURNS,
    when=lambda world, mrelease: mrelease.result == MreleaseResult.SUCCESS,
    then=returned_truly,
    needs=((Mrelease.reads, True),),
    absent=NO_MRELEASE,
    violation="The system call returns 0 and the target's memory stays as it was.",
    not_covered="MMF_OOM_SKIP that is itself set too early (N2r, N2x), and memory that no pass reaps.",
)


def only_forker_uses(world: World, mm: Mm) -> bool:
    """Nobody who found the mm walks its VMAs."""
    return both(
        negate(zapped_from_outside(world, mm)),
        every(world.all(Walker), lambda walker: implies(walker.mm == mm, negate(walker.walks))),
    )


S11 = Property(
    id="S11",
    name="no-walk-of-half-built-mm",
    statement="While an mm holds an XA_ZERO entry, no walker but the forker uses it.",
    source=(
        '64c37e134b12 "kernel: be more careful about dup_mmap() failures and uprobe registering" (CVE-2025-21709); '
        '1367da7eb875 "mm: swap: check for stable address space before operating on the VMA"'
    ),
    over=(Mm,),
    when=lambda world, mm: mm.half_built,
    then=only_forker_uses,
    needs=((Mm.half_built, True),),
    absent="no fork leaves an XA_ZERO entry",
    violation="An oops at 0x406 plus a field offset: XA_ZERO_ENTRY is taken for a VMA.",
    not_covered="Walkers of single VMAs by rmap that never look at the tree.",
)

RELEASE = (S5M, M1, S11)

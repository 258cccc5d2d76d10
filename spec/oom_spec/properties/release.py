"""process_mrelease, and trees that a failed fork left half-built."""

from __future__ import annotations

from oom_spec.language import Property, World, both, either, every, implies, negate
from oom_spec.properties.safety import vmas_untouched
from oom_spec.protocol.names import Event
from oom_spec.protocol.state import Executor, Mm, Mrelease, MreleaseResult, Presence, Walker

NO_MRELEASE = "there is no process_mrelease"

S1M = Property(
    id="S1m",
    name="no-mrelease-walk-of-freed-page-tables",
    statement="process_mrelease never walks page tables or VMAs that are being or have been freed.",
    source='337546e83fc7 "mm/oom_kill.c: prevent a race between process_mrelease and exit_mmap"',
    over=(Mrelease,),
    when=lambda world, mrelease: mrelease.walks,
    then=lambda world, mrelease: both(
        mrelease.target.mm.page_tables == Presence.PRESENT, vmas_untouched(mrelease.target.mm)
    ),
    needs=((Mrelease.walks, True),),
    absent=NO_MRELEASE,
    violation="A use after free of page tables or VMAs, in the context of whoever called process_mrelease.",
    not_covered="The reaper's walk and the exit path's own reap (S1).",
)

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
        negate(mm.walked_by_reaper),
        every(world.all(Walker), lambda walker: implies(walker.mm == mm, negate(walker.walks))),
        every(world.all(Mrelease), lambda mrelease: implies(mrelease.target.mm == mm, negate(mrelease.walks))),
    )


S11 = Property(
    id="S11",
    name="no-walk-of-half-built-mm",
    statement="While an mm holds an XA_ZERO entry, no walker but the forker uses it.",
    source=(
        '64c37e134b12 "kernel: be more careful about dup_mmap() failures and uprobe registering" (CVE-2025-21709); '
        '"mm: swap: check for stable address space before operating on the VMA"'
    ),
    over=(Mm,),
    when=lambda world, mm: mm.half_built,
    then=only_forker_uses,
    needs=((Mm.half_built, True),),
    absent="no fork leaves an XA_ZERO entry",
    violation="An oops at 0x406 plus a field offset: XA_ZERO_ENTRY is taken for a VMA.",
    not_covered="Walkers of single VMAs by rmap that never look at the tree.",
)

RELEASE = (S1M, S5M, M1, S11)

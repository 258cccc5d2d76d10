"""N: no needless kill. What MMF_OOM_SKIP must mean when it is set, and when it is acted upon."""

from __future__ import annotations

from enum import Enum

from oom_spec.language import Property, World, both, either, every, implies, negate, some
from oom_spec.protocol.names import Event
from oom_spec.protocol.state import Excuse, Killer, Mm, PassedOver, Presence, Process, Reaper, Writer

HOCKO_0726 = "Hocko, 2017-07-26, 20170726054533.GA960@dhcp22.suse.cz"
THE_MAIL = "Hocko, 2017-07-25, 20170725154514.GN26723@dhcp22.suse.cz (the mail)"

EXCUSES = (Excuse.TEN_FAILED, Excuse.NOTIFIERS, Excuse.SHARED_WITH_INIT, Excuse.FAILED_FORK)
PASSED_WITH_EXCUSE = (PassedOver.TEN_FAILED, PassedOver.NOTIFIERS, PassedOver.SHARED_WITH_INIT)


def passed_over_for(world: World, killer: Killer, process: Process, how: PassedOver) -> bool:
    """The scan passed over a marked victim with another mm in this way."""
    return some(world.all(Mm), lambda mm: both(mm != process.mm, killer.passed_over[mm] == how))


def somebody_passed_over(world: World, killer: Killer, process: Process) -> bool:
    """The scan met a marked victim with another mm and MMF_OOM_SKIP, rightly set or not."""
    return some(world.all(Mm), lambda mm: both(mm != process.mm, killer.passed_over[mm] != PassedOver.NO))


def passed_over_rightly(world: World, killer: Killer, process: Process) -> bool:
    """No other mm was passed over while its memory was still mapped."""
    return negate(
        either(
            passed_over_for(world, killer, process, PassedOver.NEEDLESSLY),
            *(passed_over_for(world, killer, process, how) for how in PASSED_WITH_EXCUSE),
        )
    )


def passing_over_excused(world: World, killer: Killer, process: Process) -> bool:
    """Whatever was passed over while mapped had an excuse."""
    return negate(passed_over_for(world, killer, process, PassedOver.NEEDLESSLY))


def passed_with(how: Enum, world: World, killer: Killer, process: Process) -> bool:
    """This excuse was needed."""
    assert isinstance(how, PassedOver)
    return passed_over_for(world, killer, process, how)


N1S = Property(
    id="N1s",
    name="no-needless-kill-through-skip",
    statement=(
        "When a kill step picks a process of another mm, no marked victim that this scan met was passed over "
        "because of MMF_OOM_SKIP, unless unmap_vmas had finished on its mm, or a pass over it was completed, or N3."
    ),
    source=HOCKO_0726,
    event=Event.KILL_PICKED,
    when=somebody_passed_over,
    then=passed_over_rightly,
    excuse=passing_over_excused,
    excuses=passed_with,
    excuse_members=PASSED_WITH_EXCUSE,
    violation="The log shows a second kill some milliseconds after the first, whose memory is still mapped.",
    not_covered=(
        "Memory that is unmapped but not yet freed; victims outside the OOM domain, which never hold a scan back; "
        "sysrq, oom_kill_allocating_task and memory.oom.group, which kill on purpose."
    ),
)


def marked(world: World, mm: Mm) -> bool:
    """Some process has signal->oom_mm pointing at `mm`."""
    return some(world.all(Process), lambda process: both(process.mm == mm, process.oom_mm))


def in_domain(world: World, killer: Killer, mm: Mm) -> bool:
    """A marked process that uses `mm` belongs to the killer's domain."""
    return some(
        world.all(Process),
        lambda process: both(process.mm == mm, process.oom_mm, killer.eligible[process]),
    )


def loaded_victim(world: World, killer: Killer, mm: Mm) -> bool:
    """A marked mm of this domain with reapable pages mapped, which nothing hides."""
    return both(in_domain(world, killer, mm), mm.reapable != 0, negate(mm.oom_skip))


def scan_met_every_loaded_victim(world: World, killer: Killer, aborted: bool) -> bool:
    """The scan aborted, or met a task of every loaded victim."""
    return either(
        aborted,
        every(world.all(Mm), lambda mm: implies(loaded_victim(world, killer, mm), killer.met[mm])),
    )


def some_loaded_victim(world: World, killer: Killer, aborted: bool) -> bool:
    """There is a loaded victim to meet."""
    return some(world.all(Mm), lambda mm: loaded_victim(world, killer, mm))


N1V = Property(
    id="N1v",
    name="no-needless-kill-through-invisibility",
    statement="While a marked mm has reapable pages mapped, every OOM scan of its domain meets a task that uses it.",
    source="Rientjes, 2017-06-20, alpine.DEB.2.10.1706201509170.109574@chino.kir.corp.google.com",
    event=Event.SCAN_ENDED,
    when=some_loaded_victim,
    then=scan_met_every_loaded_victim,
    violation="The victim is unhashed or has left its cgroup, somebody pins its memory, the next scan kills again.",
    not_covered=(
        "Memory that only exit_mmap can unmap, and mms with MMF_OOM_SKIP (N1s, N2r, N2x). A scan that aborts has met a "
        "victim and kills nobody. Tasks outside the domain do not count as met: they hold nothing back."
    ),
)


def skip_by_reaper_is_true(world: World, reaper: Reaper, mm: Mm) -> bool:
    """The flag says what it should: a pass, or nothing to reap, or nothing new."""
    return either(reaper.passed, mm.oom_skip, mm.vmas == Presence.FREED, mm.vmas == Presence.NEVER)


def skip_by_reaper_excused(world: World, reaper: Reaper, mm: Mm) -> bool:
    """N3."""
    return mm.excuse != Excuse.NONE


N2R = Property(
    id="N2r",
    name="reaper-skip-means-reaped",
    statement=(
        "When oom_reap_task sets MMF_OOM_SKIP, then since it dequeued the mm a pass was completed, "
        "or MMF_OOM_SKIP was already set, or the mm has no VMAs, or N3."
    ),
    source=THE_MAIL + ", and his patch of 2017-07-24",
    event=Event.REAPER_SETS_SKIP,
    then=skip_by_reaper_is_true,
    excuse=skip_by_reaper_excused,
    excuses=lambda which, world, reaper, mm: mm.excuse == which,
    excuse_members=EXCUSES,
    violation="MMF_OOM_SKIP appears on an mm whose memory is all there; the next scan passes over it.",
    not_covered="Whether anybody acts on the flag (N1s), and mlocked or shared memory, which no pass reaps.",
)


def unmap_finished(world: World, mm: Mm) -> bool:
    """unmap_vmas has finished."""
    return mm.unmapped


N2X = Property(
    id="N2x",
    name="exit-skip-means-unmapped",
    statement="When the exit path sets MMF_OOM_SKIP, unmap_vmas has finished on that mm.",
    source=THE_MAIL,
    event=Event.EXIT_SETS_SKIP,
    then=unmap_finished,
    violation="MMF_OOM_SKIP appears while exit_mmap has not unmapped everything.",
    not_covered="Page tables and the last gathered batch, which are not mapped memory.",
    absent="no exit path sets MMF_OOM_SKIP",
)


def never_obstructed_by_unmapping(world: World, reaper: Reaper, mm: Mm) -> bool:
    """No trylock failed against an exit_mmap that still unmaps."""
    return negate(reaper.obstructed)


N2Q = Property(
    id="N2q",
    name="exit-lock-comes-after-unmap",
    statement=(
        "If the reaper gives up after failed trylocks and the holder or waiter in its way was exit_mmap, "
        "unmap_vmas had finished."
    ),
    source="Arcangeli's first question and the answer to it in the mail",
    event=Event.REAPER_GIVES_UP,
    then=never_obstructed_by_unmapping,
    needs=((Mm.writer, Writer.EXIT_MMAP),),
    absent="exit_mmap never takes mmap_sem",
    violation="Ten trylocks fail against an exit_mmap that holds the lock while it still unmaps terabytes.",
    not_covered="Other writers, which can always make the reaper give up (N3); ksm_exit and khugepaged_exit.",
)


def no_excuse(world: World, mm: Mm) -> bool:
    """Nobody gave up on this mm."""
    return mm.excuse == Excuse.NONE


N3 = Property(
    id="N3",
    name="no-excuse-needed",
    statement=(
        "No mm is given up on: neither ten failed attempts, nor mmu notifiers, nor global init sharing the mm, nor a "
        "failed fork."
    ),
    source="mm/oom_kill.c; the definition of the accepted excuses",
    over=(Mm,),
    then=no_excuse,
    excuse=lambda world, mm: mm.excuse != Excuse.NONE,
    excuses=lambda which, world, mm: mm.excuse == which,
    excuse_members=EXCUSES,
    violation="The log says `oom_reaper: unable to reap`, or MMF_OOM_SKIP is set although nothing was reaped.",
    not_covered="It is a definition rather than a requirement: it says where the others may lean on it.",
)

N4 = Property(
    id="N4",
    name="no-skip-after-last-attempt",
    statement="Between an allocator's last failed attempt and its look at MMF_OOM_SKIP, no reap and MMF_OOM_SKIP fall.",
    source=(
        "Tetsuo Handa, 2017-06-16, 201706162122.ACE95321.tOFLOOVFFHMSJQ@I-love.SAKURA.ne.jp; "
        'rejected in af5679fbc669 "mm, oom: remove oom_lock from oom_reaper"'
    ),
    event=Event.SKIP_SEEN,
    when=lambda world, killer, mm: both(world.attempt_watched, negate(killer.memcg)),
    then=lambda world, killer, mm: negate(world.skip_is_news[killer]),
    violation="A second kill although the memory that the reap gave back would have satisfied the allocation.",
    not_covered=(
        "A memcg's OOM, which makes no last attempt; MMF_OOM_SKIP set by the exit path; with several victims, which of "
        "them the reap was of."
    ),
    absent="no scan passes over a marked victim because of MMF_OOM_SKIP",
)

SELECTION = (N1S, N1V, N2R, N2X, N2Q, N3, N4)

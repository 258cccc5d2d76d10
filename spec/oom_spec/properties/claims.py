"""The mail's questions and the claims in its answers, each as something a machine can decide.

Both sides of an argument are put to the same scenario, from the same initial state; only the variant
differs. No sentence of the mail is quoted.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, unique

import attrs

from oom_spec.language import Property, Role, World, both, every, negate, some
from oom_spec.properties.liveness import every_victim_has_skip
from oom_spec.protocol.names import Event
from oom_spec.protocol.state import Killer, Mm, Presence, Process, Reaper, Writer


@unique
class Kind(Enum):
    """How a part of a claim is decided."""

    VERDICT = "the verdict of a property"
    WITNESS = "a shortest run in which something happens"
    POSSIBLE = "from every reachable state, something stays possible without any help of the environment"


@attrs.frozen(eq=False)
class Part:
    """One statement that decides a part of a claim."""

    id: str
    says: str
    """What it means if the outcome is the expected one."""
    kind: Kind
    era: str
    scenario: str
    property: Property | str | None = None
    """For a verdict: a property, or its id."""
    event: Enum | None = None
    """For a witness: the run ends with a step that announces this event ..."""
    goal: Callable[..., bool] | None = None
    """... in a state where this holds (given the event's arguments); or, without an event, in such a state."""
    avoid: tuple[str, ...] = ()
    """Steps that are left out: to show that another way leads there too."""


@attrs.frozen(eq=False)
class Claim:
    """One question of the mail, or one claim in its answer."""

    id: str
    title: str
    remark: str
    parts: tuple[Part, ...]


LAST_OF_SERIES = Property(
    id="Q2-last",
    name="no-attempt-after-mm-users-0",
    statement="An attempt that finds mm_users 0 is the last of its series.",
    source="the mail, on question 2",
    event=Event.ATTEMPT_BEGINS,
    then=lambda world, reaper: negate(reaper.found_no_users),
    violation="The reaper sleeps and tries again on an mm that it can never pin.",
    not_covered="Attempts that fail at the trylock, which are repeated.",
    role=Role.GOAL,
)

SKIP_FOLLOWS = Property(
    id="Q2-skip",
    name="mm-users-0-ends-in-skip-without-pass",
    statement="A series that found mm_users 0 ends with MMF_OOM_SKIP set, and without a pass.",
    source="the mail, on question 2",
    event=Event.JOB_DONE,
    when=lambda world, reaper, mm: reaper.found_no_users,
    then=lambda world, reaper, mm: both(mm.oom_skip, negate(reaper.passed)),
    violation="The series ends in some other way.",
    not_covered="Whether that is a good thing: N2r and N1s say so.",
    role=Role.GOAL,
)


def obstructed_by_tear_down(world: World, reaper: Reaper, mm: Mm) -> bool:
    """exit_mmap is inside free_pgtables when the reaper gives up."""
    return both(mm.page_tables == Presence.BEING_FREED, mm.writer == Writer.EXIT_MMAP)


def obstructed_by_foreign_writer(world: World, reaper: Reaper, mm: Mm) -> bool:
    """Somebody else holds mmap_sem, and the memory is all there."""
    return both(mm.writer == Writer.FOREIGN, mm.reapable != 0)


def failed_before_finding_zero(world: World) -> bool:
    """An attempt found mm_users 0 after an earlier one had failed at the trylock."""
    return some(world.all(Reaper), lambda reaper: both(reaper.found_no_users, reaper.attempts != 0))


def other_domain_starves(world: World, killer: Killer) -> bool:
    """The failing allocation is in a domain without the victim, whose memory is half unmapped."""
    return both(
        some(world.all(Mm), lambda mm: both(mm.gathered, mm.reapable != 0, negate(mm.unmapped))),
        every(world.all(Process), lambda process: negate(both(process.oom_mm, killer.eligible[process]))),
    )


def picked_beside_loaded_victim(world: World, killer: Killer, process: Process) -> bool:
    """A second process is picked while a marked victim's memory is mapped and nothing hides it."""
    return some(
        world.all(Process),
        lambda other: both(other != process, other.oom_mm, other.mm.reapable != 0, negate(other.mm.oom_skip)),
    )


def scan_aborts_during_unmap(world: World, killer: Killer, aborted: bool) -> bool:
    """A scan aborts on a victim whose exit_mmap has not finished unmapping."""
    return both(aborted, some(world.all(Mm), lambda mm: both(mm.gathered, negate(mm.unmapped), negate(mm.oom_skip))))


def all_victims_have_skip(world: World) -> bool:
    """No scan has a reason to wait for a victim."""
    return every_victim_has_skip(world)


HOCKO, STRAWMAN, RIENTJES = "hocko-2017-07-24", "strawman-lock-before-unmap", "rientjes-2017-06-14"
USERFAULT = "fault.handle_mm_fault.handle_userfault[VM_FAULT_RETRY]"
PAGE_LOCK = "fault.handle_mm_fault.lock_page_or_retry[VM_FAULT_RETRY]"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "1",
        "Does a long exit_mmap under mmap_sem only move the failure to down_read_trylock?",
        "No, because the lock comes after unmap_vmas; a strawman that takes it before shows that its place matters.",
        (
            Part(
                "1.proposal",
                "the patch: whenever the reaper gave up because of exit_mmap's lock, unmap_vmas had finished",
                Kind.VERDICT,
                HOCKO,
                "ten-retries",
                property="N2q",
            ),
            Part(
                "1.ten-failures",
                "and that does happen: ten trylocks fail while free_pgtables runs",
                Kind.WITNESS,
                HOCKO,
                "ten-retries",
                event=Event.REAPER_GIVES_UP,
                goal=obstructed_by_tear_down,
            ),
            Part(
                "1.strawman",
                "with the lock taken before unmap_vmas it would be what question 1 fears",
                Kind.VERDICT,
                STRAWMAN,
                "ten-retries",
                property="N2q",
            ),
            Part(
                "1.writer-proposal",
                "the patch: a foreign writer can still make the reaper give up with all memory mapped (N3)",
                Kind.WITNESS,
                HOCKO,
                "foreign-writer",
                event=Event.REAPER_GIVES_UP,
                goal=obstructed_by_foreign_writer,
            ),
            Part(
                "1.writer-strawman",
                "the strawman: so can it there",
                Kind.WITNESS,
                STRAWMAN,
                "foreign-writer",
                event=Event.REAPER_GIVES_UP,
                goal=obstructed_by_foreign_writer,
            ),
        ),
    ),
    Claim(
        "2",
        "Does the reaper retry ten times although mm_users is 0?",
        "No: the attempt that finds 0 is the last one; it counts as success, and that is the bug that was reported.",
        (
            Part(
                "2.last",
                "an attempt that finds mm_users 0 is the last of its series",
                Kind.VERDICT,
                "E4",
                "foreign-writer",
                property=LAST_OF_SERIES,
            ),
            Part(
                "2.skip",
                "and the series ends with MMF_OOM_SKIP, without a pass",
                Kind.VERDICT,
                "E4",
                "foreign-writer",
                property=SKIP_FOLLOWS,
            ),
            Part("2.bug", "so MMF_OOM_SKIP does not mean reaped", Kind.VERDICT, "E4", "single", property="N2r"),
            Part(
                "2.earlier",
                "attempts that fail at the trylock may come before it",
                Kind.WITNESS,
                "E4",
                "foreign-writer",
                goal=failed_before_finding_zero,
            ),
        ),
    ),
    Claim(
        "3a",
        "If exit_mmap is freeing memory already, why should there be another OOM?",
        "Because the memory may belong to another OOM domain.",
        (
            Part(
                "3a.starves",
                "an allocation in domain B fails while exit_mmap still unmaps pages of domain A",
                Kind.WITNESS,
                "E4",
                "foreign-domain",
                event=Event.ALLOCATION_FAILS,
                goal=other_domain_starves,
            ),
        ),
    ),
    Claim(
        "3b",
        "Why is it a problem that MMF_OOM_SKIP gets set, if exit_mmap is guaranteed to be running?",
        "Because the flag lets the next scan choose a second victim. Where the first one is outside the domain, a "
        "second one dies in every variant, by design.",
        (
            Part(
                "3b.v4.12",
                "victim in the domain, v4.12: a second process is killed through MMF_OOM_SKIP",
                Kind.VERDICT,
                "E4",
                "two-domains",
                property="N1s",
            ),
            Part(
                "3b.proposal",
                "the patch: scans abort until the victim is unmapped or reaped",
                Kind.VERDICT,
                HOCKO,
                "two-domains",
                property="N1s",
            ),
            Part("3b.v4.14", "v4.14: so they do there", Kind.VERDICT, "E5", "two-domains", property="N1s"),
            Part(
                "3b.aborts",
                "v4.14: a scan does abort during the unmapping",
                Kind.WITNESS,
                "E5",
                "two-domains",
                event=Event.SCAN_ENDED,
                goal=scan_aborts_during_unmap,
            ),
            *(
                Part(
                    f"3b.outside-{name}",
                    f"victim outside the domain, {name}: a second process dies while the first one's memory is mapped",
                    Kind.WITNESS,
                    era,
                    "foreign-domain",
                    event=Event.KILL_PICKED,
                    goal=picked_beside_loaded_victim,
                )
                for name, era in (("v4.12", "E4"), ("proposal", HOCKO), ("v4.14", "E5"))
            ),
        ),
    ),
    Claim(
        "3c",
        "Why is the reaper not content to stop when mm_users is 0, and wait for exit_mmap?",
        "Each side is right about one of two things: exit_mmap itself does not block, but __mmput may block before it.",
        (
            Part(
                "3c.exit_aio",
                "a reaper that just stops: every scan waits for a victim that is blocked in exit_aio",
                Kind.VERDICT,
                RIENTJES,
                "blocked-aio",
                property="L2s",
            ),
            Part(
                "3c.stuck",
                "and then MMF_OOM_SKIP depends on the I/O alone",
                Kind.POSSIBLE,
                RIENTJES,
                "blocked-aio",
                goal=all_victims_have_skip,
            ),
            Part(
                "3c.exit_mmap",
                "with every blocking step of __mmput assumed to finish, the same variant makes progress",
                Kind.POSSIBLE,
                RIENTJES,
                "single",
                goal=all_victims_have_skip,
            ),
            Part(
                "3c.proposal",
                "the patch makes progress although exit_aio blocks",
                Kind.VERDICT,
                HOCKO,
                "blocked-aio",
                property="L2s",
            ),
            Part(
                "3c.proposal-possible",
                "and needs no I/O for it",
                Kind.POSSIBLE,
                HOCKO,
                "blocked-aio",
                goal=all_victims_have_skip,
            ),
        ),
    ),
    Claim(
        "4",
        "Is it safe to overwrite VM_FAULT_RETRY with VM_FAULT_SIGBUS?",
        "It is not. The mail's answer claims nothing here; the question was right, and v4.13 settled it.",
        (
            Part(
                "4.userfault",
                "v4.12: a userfault releases mmap_sem, the overwritten result says it is held",
                Kind.VERDICT,
                "E4",
                "kthread-fault",
                property="S4",
                avoid=(PAGE_LOCK,),
            ),
            Part(
                "4.page-lock",
                "v4.12: so does a wait for the page lock",
                Kind.VERDICT,
                "E4",
                "kthread-fault",
                property="S4",
                avoid=(USERFAULT,),
            ),
            Part(
                "4.leave",
                "leaving VM_FAULT_RETRY alone repairs it",
                Kind.VERDICT,
                "fault-leave-retry",
                "kthread-fault",
                property="S4",
            ),
            Part(
                "4.retake",
                "taking mmap_sem again repairs it",
                Kind.VERDICT,
                "fault-retake-lock",
                "kthread-fault",
                property="S4",
            ),
            Part(
                "4.v4.13",
                "v4.13, where the block is gone, is right too",
                Kind.VERDICT,
                "E4b",
                "kthread-fault",
                property="S4",
            ),
        ),
    ),
)


def find_part(name: str) -> Part:
    """The part with this id."""
    return next(part for claim in CLAIMS for part in claim.parts if part.id == name)

"""process_mrelease for some weeks of the v6.18 development cycle: the test of MMF_OOM_SKIP is inverted."""

from functools import partial

from oom_spec.eras.e13_v6_14 import E13
from oom_spec.language import Era, Standing, Verified, negate, requires
from oom_spec.protocol import mrelease
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import MreleaseAt
from oom_spec.protocol.state import Mrelease

inverted = partial(
    mrelease.mrelease,
    at=MreleaseAt.TEST_SKIP_LOCKED,
    call="test_bit(MMF_OOM_SKIP)",
    commit="12e423ba4eae",
    verified=Verified.MAIL,
)


@inverted(then=MreleaseAt.SET_UNSTABLE, outcome="set, under mmap_lock")
def skip_is_set(mrelease: Mrelease) -> None:
    """Reaps what somebody else has dealt with: nothing is left, or exit_mmap is past its write section."""
    requires(mrelease.target.mm.oom_skip, Guard.SKIP_SET)


@inverted(then=MreleaseAt.READ_UNLOCK, outcome="clear, under mmap_lock")
def skip_is_clear(mrelease: Mrelease) -> None:
    """Returns 0 and leaves all memory where it is."""
    requires(negate(mrelease.target.mm.oom_skip), Guard.SKIP_CLEAR)


V6_18_DEV = Era(
    id="v6.18-dev",
    aliases=("fde591dad109^", "6.18-dev"),
    title="v6.18 in development: process_mrelease tests MMF_OOM_SKIP the wrong way round",
    opened_by='12e423ba4eae "mm: convert core mm to mm_flags_*() accessors"',
    standing=Standing.REPAIRED,
    why='The slip that fde591dad109 "mm/oom_kill.c: fix inverted check" repaired before the release.',
    parent=E13,
    replaced=(skip_is_set, skip_is_clear),
)

ERAS = (V6_18_DEV,)

"""E6b: v4.16. Only notifiers that may block keep the reaper away."""

from oom_spec.eras import e05_v4_14 as v4_14
from oom_spec.eras.e06_v4_15 import E6
from oom_spec.language import Era
from oom_spec.protocol import notifiers

E6B = Era(
    id="E6b",
    aliases=("v4.16", "4.16"),
    title="v4.16: an mm is skipped only for notifiers that may block",
    opened_by='5ff7091f5a2c "mm, mmu_notifier: annotate mmu notifiers with blockable invalidate callbacks"',
    why="v4.14 gave up on every mm with notifiers; most notifiers never block.",
    parent=E6,
    added=notifiers.BLOCKABLE,
    replaced=(notifiers.mmu_notifier_release,),
    removed=(v4_14.no_notifiers.id, v4_14.has_notifiers.id),
)

ERAS = (E6B,)

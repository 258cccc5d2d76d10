"""E12: v6.1 - v6.7. No OOM code in exit_mmap: a read section for unmapping, a write section for the rest."""

from oom_spec.eras import e10_v5_17 as v5_17
from oom_spec.eras.e11b_v6_0 import E11B
from oom_spec.language import Era
from oom_spec.protocol import exit_mmap, kill, maple, self_reap

E12 = Era(
    id="E12",
    aliases=tuple(f"{v}6.{n}" for v in ("v", "") for n in range(1, 8)),
    title="v6.1 - v6.7: unmap_vmas under the read lock, MMF_OOM_SKIP for every mm, the rest under the write lock",
    opened_by='bf3980c85212 "mm: drop oom code from exit_mmap"; b3541d912a84 "mm: delete unused MMF_OOM_VICTIM flag"',
    why="The split that the mail argued for: unmapping beside the reaper, exclusion only for what it must not walk.",
    parent=E11B,
    added=maple.SECTIONS_ADDED,
    replaced=(*maple.SECTIONS_REPLACED, kill.mark_mmgrab, kill.dying_mmgrab),
    removed=(
        v5_17.no_vma.id,
        v5_17.clear_mmap.id,
        exit_mmap.first_vma.id,
        self_reap.is_victim.id,
        self_reap.is_no_victim.id,
        self_reap.own_reap_begins.id,
        self_reap.own_reap_zaps.id,
        self_reap.own_reap_zaps_mlocked.id,
        self_reap.own_reap_ends.id,
    ),
)

ERAS = (E12,)

"""E12b: v6.8 - v6.12. A failed fork leaves an XA_ZERO marker in the child's tree."""

from oom_spec.eras.e12_v6_1 import E12
from oom_spec.language import Era
from oom_spec.protocol import fork, maple

E12B = Era(
    id="E12b",
    aliases=(
        *("v6.8", "v6.9", "v6.10", "v6.11", "v6.12", "v6.13"),
        *("6.8", "6.9", "6.10", "6.11", "6.12", "6.13"),
    ),
    title="v6.8 - v6.12: dup_mmap copies the whole tree first; a failed one leaves XA_ZERO behind",
    opened_by='d24062914837 "fork: use __mt_dup() to duplicate maple tree in dup_mmap()"',
    why=(
        "The mm of a failed fork can be found by rmap and by the mmlist. The loops of exit_mmap stop at the marker: "
        "they see the child's own VMAs only, so they need no step of their own."
    ),
    parent=E12,
    added=(*maple.EMPTY_TREE, *fork.MARKED),
    replaced=(maple.read_unlock_to_destroy, maple.destroy_marked_tree),
)

ERAS = (E12B,)

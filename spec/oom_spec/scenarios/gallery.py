"""A world with an object of every class: only to ask what steps can do, never explored."""

from __future__ import annotations

from oom_spec.language import Scenario, make
from oom_spec.protocol.state import Fault, Killer
from oom_spec.scenarios.release_worlds import GALLERY_OBJECTS
from oom_spec.scenarios.worlds import REAPER, bounds, killer, process, victim_mm, world

GALLERY = Scenario(
    id="gallery",
    why="Every class of object, two threads, a sharer, both kinds of OOM: for questions about steps alone.",
    objects=world(
        REAPER,
        killer(),
        make(Killer, "killer-memcg", memcg=True, eligible={"P1": True}),
        make(Killer, "killer-self", current="P1.t1", eligible={"P1": True}),
        victim_mm(foreign_may_read=True, foreign_may_write=True, aio_may_block=True, foreign_users=1),
        process("P1", "mm0", threads=2, may_exit=True),
        process("P3", "mm0"),
        process("init", "mm0", global_init=True),
        make(Fault, "kthread", mm="mm0", kernel_thread=True, pins=True),
        *GALLERY_OBJECTS,
    ),
    bounds=bounds(users=1),
)

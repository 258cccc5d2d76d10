"""Files with a user's patch, for tests."""

from __future__ import annotations

from pathlib import Path

HEAD = """\
import attrs
from oom_spec.eras import find_era
from oom_spec.language import Era, World, both, negate, requires, step
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import MmputAt, ReapAt
from oom_spec.protocol.state import Mm, Process, Reaper, Task

PARENT = find_era("E5")
YES = "mm.exit_mmap.tsk_is_oom_victim(current)[yes]"
NO = "mm.exit_mmap.tsk_is_oom_victim(current)[no]"

"""
"""Eleven lines; what a test adds begins at line 12."""

ALWAYS = """\
@step(Mm, at=MmputAt.FENCE_TEST, then=MmputAt.FENCE_DOWN_WRITE, kernel="mm/mmap.c:exit_mmap", call="always")
def always(world: World, mm: Mm) -> None:
    '''The fence for every mm.'''
    {body}


ERA = Era(
    id="mine",
    title="mine",
    parent=PARENT,
    added=(always,),
    removed=(YES, NO),
)
"""
STEP_LINE = 12
BODY_LINE = 15
STEP = "step mm.exit_mmap.always: "


def patch(body: str = "pass", old: str = "", new: str = "") -> str:
    """A patch whose one step does ``body``, with ``old`` replaced by ``new`` in it."""
    text = HEAD + ALWAYS.format(body=body)
    assert old in text, old
    return text.replace(old, new) if old else text


def wrote(folder: Path, text: str | bytes, name: str = "mine.py") -> str:
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(file)

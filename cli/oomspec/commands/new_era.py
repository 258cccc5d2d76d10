"""`oomspec new-era`"""

from __future__ import annotations

import os
from pathlib import Path

import click

from oom_spec.eras import all_eras, find_era
from oom_spec.language import Era, SpecError, Step
from oom_spec.protocol.points import MmputAt
from oom_spec.protocol.state import Mm
from oom_spec.user_eras import SANE_ID
from oomspec.output import titled

EXAMPLE = "mm.exit_mmap.mmu_notifier_release"
"""The step after which the worked example inserts one; an era without it gives another of __mmput."""


@click.command("new-era")
@click.argument("name")
@click.option("--from", "parent", metavar="ERA", required=True, help="The era that your patch changes.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The file to write.  [default: ./NAME.py]")
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
def new_era(name: str, parent: str, output: Path | None, force: bool) -> int:
    """Write a commented file for a patch of your own, equal to the era it starts from until you edit it.

    \b
    Examples:
      oomspec new-era my-fence --from v4.14
      oomspec new-era my-fence --from E5 --output patches/my_fence.py
    """
    chosen = find_era(parent)
    if not SANE_ID.fullmatch(name):
        raise SpecError(
            f"{name!r} is no name for an era: begin with a letter, and use letters, digits, `-`, `_` and `.` "
            "(60 at most)"
        )
    for era in (*all_eras(), chosen):
        if name.lower() in (each.lower() for each in (era.id, *era.aliases)):
            raise SpecError(f"the name {name!r} is that of {era.id}: choose another")
    file = output if output is not None else Path(f"{name}.py")
    if file.is_dir():
        raise SpecError(f"{file}: is a folder: name a file in it, such as {file / f'{name}.py'}")
    if file.exists() and not force:
        raise SpecError(f"{file}: is there already: --force overwrites it, --output FILE writes another")
    file.write_text(template(name, chosen, file), "utf-8")
    shown = str(file) if os.sep in str(file) else os.path.join(os.curdir, file)  # noqa: PTH118 - keeps the `./`
    click.echo(f"wrote {shown}: equal to {titled(chosen)} until you edit it")
    click.echo(f"    oomspec show {chosen.id if not chosen.file else parent}  # steps, guards, program points")
    click.echo(f"    oomspec check {shown} all")
    return 0


def template(name: str, parent: Era, file: Path) -> str:
    """The text of a new file for the patch ``name`` to ``parent``."""
    if parent.file:
        located = os.path.relpath(parent.file, file.absolute().parent)
        find = f"find_era(os.path.join(os.path.dirname(__file__), {located!r}))"
        extra = "import os\n\n"
        asked = "FILE"
    else:
        find, extra, asked = f'find_era("{parent.id}")', "", parent.id
    step = _example_step(parent)
    assert step.then is not None
    then = f"{type(step.then).__name__}.{step.then.name}"
    return "".join(
        (
            _commented(HEAD.format(parent=titled(parent), file=file.name, asked=asked)),
            BODY.format(name=name, find=find, extra=extra),
            _commented(ABOVE_EXAMPLE),
            "\n",
            _commented(EXAMPLE_CODE.format(step=step.id, then=then)),
        )
    )


def _commented(text: str) -> str:
    """``text`` as comment lines."""
    return "".join(f"# {line}".rstrip() + "\n" for line in text.splitlines())


def _example_step(parent: Era) -> Step:
    known = {each.id: each for each in parent.steps}
    moved = [each for each in parent.steps if each.actor is Mm and isinstance(each.then, MmputAt)]
    return known.get(EXAMPLE) or moved[0]


HEAD = '''\
My patch to {parent}.

Until ERA below says otherwise this era is equal to the one it starts from. Ask about it by its path:

    oomspec check ./{file} all
    oomspec show ./{file}
    oomspec explain ./{file} S1

A step is one atomic action of one actor. It reads guard, effect, next:

    @step(
        Mm,                                # the actor: it is a parameter of the function
        at=MmputAt.FENCE_TEST,             # where the actor must stand
        then=MmputAt.FREE_PGTABLES,        # next: where it stands afterwards
        kernel="mm/mmap.c:exit_mmap",      # the kernel function that you change
        call="mm_is_oom_victim(mm)",       # what a diagram prints
        outcome="no",                      # a call that can end in two ways is two steps
    )
    def no_victim(world: World, mm: Mm) -> None:
        """What it means, in words."""
        requires(negate(mm.oom_skip), Guard.SKIP_CLEAR)    # guard: one requires per condition
        mm.gathered = False                                # effect: what is not assigned stays

Its id is actor.function.call[outcome], here `mm.exit_mmap.mm_is_oom_victim(mm)[no]`.

- To REPLACE a step, give yours the same actor, function, call and outcome, and name it in replaced=.
- To ADD a step, name it in added=.
- To REMOVE one, put its id into removed=.
- To MOVE one, keep all but its place: attrs.evolve(PARENT.step("its id"), then=...), in replaced=.

Where a step stands are program points, named after the call that comes next. `oomspec show {asked} --points`
lists those of this era and the steps that leave them. A call that the model does not have yet needs a new
point: each routine has six spare ones, PATCH_1 to PATCH_6 (TaskAt, MmputAt, ReapAt, KillAt, ...). Give them a
name of your own, as the example does. Somebody must lead to a point, and somebody must leave it.

Conditions: `both(a, b)`, `either(a, b)`, `negate(a)`; over all objects `every(world.all(Task), lambda task: ...)`
and `some(...)`. Fields are in `oomspec show {asked}`, and a patch can add one:
new_field(Mm, "my_flag", flag("MMF_MY_FLAG")), from oom_spec.user_eras. No step reads where another actor
stands: let it set a flag, a lock or a count that the kernel has too. A condition that the kernel derives from
several fields, such as "mmap_sem is free", is a function of oom_spec.protocol.derived.
'''

BODY = """\

{extra}import attrs

from oom_spec.eras import find_era
from oom_spec.language import Era, Standing, Verified, World, both, either, every, negate, requires, some, step
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import FaultAt, KillAt, MmputAt, ReapAt, TaskAt
from oom_spec.protocol.state import Executor, Fault, Killer, Mm, Presence, Process, Reaper, Task, Writer

PARENT = {find}

ERA = Era(
    id="{name}",
    title="my patch",
    opened_by="my patch",
    standing=Standing.PROPOSED,
    why="What do I want to know?",
    parent=PARENT,
    added=(),
    replaced=(),
    removed=(),
)

"""

ABOVE_EXAMPLE = """\
A worked example: a patch that sets MMF_OOM_SKIP too early. It moves one step to a point of its own, and lets a
new step lead from there to where the old one led. Take one `# ` away from each line below, and `oomspec check`
finds the violation, `oomspec explain` draws it.
"""

EXAMPLE_CODE = '''\
SET_SKIP_EARLY = MmputAt.PATCH_1  # exit_mmap: set MMF_OOM_SKIP before anything is unmapped


@step(
    Mm,
    at=SET_SKIP_EARLY,
    then={then},
    kernel="mm/mmap.c:exit_mmap",
    call="set_bit(MMF_OOM_SKIP)",
    outcome="too early",
    verified=Verified.PROPOSED,
)
def skip_too_early(world: World, mm: Mm) -> None:
    """The OOM killer may look for the next victim from here on, although this one holds its memory."""
    world.announce(Event.EXIT_SETS_SKIP, mm)
    mm.oom_skip = True


ERA = attrs.evolve(
    ERA,
    title="MMF_OOM_SKIP is set before unmap_vmas",
    added=(skip_too_early,),
    replaced=(attrs.evolve(PARENT.step("{step}"), then=SET_SKIP_EARLY),),
)
'''

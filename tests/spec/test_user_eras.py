"""A user's patch is an era in a file: what is wrong with it is told by file and line, what is odd by advice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from oom_spec import user_eras
from oom_spec.advice import advise
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration
from oom_spec.instances import Instance
from oom_spec.language import Era, Object, UnknownNameError
from oom_spec.properties import find_properties
from oom_spec.protocol.points import MmputAt
from oom_spec.scenarios import find_scenario
from oom_spec.unbounded.crowds import CROWDS, sample
from oom_spec.unbounded.start import starting_values
from oom_spec.user_eras import UserEraError

from .patches import ALWAYS, BODY_LINE, HEAD, STEP, STEP_LINE, patch, wrote


def complaint(folder: Path, text: str | bytes) -> str:
    """The message about a file, without its folder."""
    name = wrote(folder, text)
    with pytest.raises(UserEraError) as caught:
        find_era(name)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{name}:"), message
    return message.removeprefix(f"{folder}{os.sep}")


# -- what works ----------------------------------------------------------------------------------


def violated(era: Era, scenario: str, name: str) -> bool:
    exploration = Exploration(Instance(era, find_scenario(scenario)), find_properties(name), first_only=True)
    return exploration.findings[name].violated is not None


def test_a_patch_is_an_era(tmp_path: Path) -> None:
    name = wrote(tmp_path, patch())
    era = find_era(name)
    assert (era.id, era.file, era.locator) == ("mine", name, name)
    assert era.steps[-1].id == "mm.exit_mmap.always"
    assert violated(find_era("E5"), "foreign-user", "S1")
    assert not violated(era, "foreign-user", "S1")
    assert advise(era) == []


def test_an_unchanged_file_is_the_same_era_and_a_changed_one_another(tmp_path: Path) -> None:
    name = wrote(tmp_path, patch())
    first = find_era(name)
    assert find_era(name) is first
    assert find_era(os.path.relpath(name)) is first
    wrote(tmp_path, patch("mm.gathered = False"))
    second = find_era(name)
    assert second is not first
    assert find_era(name) is second


def test_another_process_finds_a_patch_by_its_locator(tmp_path: Path) -> None:
    era = find_era(wrote(tmp_path, patch()))
    code = "import sys; from oom_spec.eras import find_era; era = find_era(sys.argv[1]); print(era.id, len(era.steps))"
    done = subprocess.run([sys.executable, "-c", code, era.locator], capture_output=True, text=True, check=True)
    assert done.stdout == f"{era.id} {len(era.steps)}\n"


def test_the_locator_of_our_own_era_is_its_id() -> None:
    assert find_era("v4.14").locator == "E5"


def test_a_patch_may_begin_from_another_patch(tmp_path: Path) -> None:
    first = wrote(tmp_path, patch(), "first.py")
    second = wrote(
        tmp_path, f'from oom_spec.eras import find_era\nfrom oom_spec.language import Era\n'
        f'ERA = Era(id="second", title="", parent=find_era({first!r}))\n',
    )  # fmt: skip
    assert find_era(second).parent is find_era(first)


def test_a_patch_has_another_id_than_the_patch_that_it_begins_from(tmp_path: Path) -> None:
    first = wrote(tmp_path, patch(), "first.py")
    text = patch(old='find_era("E5")', new=f"find_era({first!r})").replace("(always,)", "()").replace("(YES, NO)", "()")
    assert complaint(tmp_path, text) == "mine.py:19: the name 'mine' is its parent's: choose another"


def test_lists_are_as_good_as_tuples(tmp_path: Path) -> None:
    era = find_era(wrote(tmp_path, patch(old="added=(always,)", new="added=[always]")))
    assert [each.id for each in era.added] == ["mm.exit_mmap.always"]


def test_what_a_file_prints_does_not_reach_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    find_era(wrote(tmp_path, patch("print('in the step')") + "print('at import')\n"))
    out, err = capsys.readouterr()
    assert out == ""
    assert "at import" in err
    assert "in the step" in err


def test_a_patch_has_program_points_and_fields_of_its_own(tmp_path: Path) -> None:
    text = HEAD + (
        "from oom_spec.language import flag\n"
        "from oom_spec.user_eras import new_field\n"
        "MINE = MmputAt.PATCH_1\n"
        "new_field(Mm, 'seen_by_mine', flag('A new MMF flag.'))\n\n"
        "@step(Mm, at=MINE, then=MmputAt.FENCE_TEST, kernel='mm/mmap.c:exit_mmap', call='mine')\n"
        "def mine(mm: Mm) -> None:\n"
        "    '''Sets it.'''\n"
        "    requires(negate(mm.seen_by_mine), Guard.NO_FAULT)\n"
        "    mm.seen_by_mine = True\n\n"
        "ERA = Era(id='mine', title='', parent=PARENT, added=(mine,),\n"
        "    replaced=(attrs.evolve(PARENT.step('mm.exit_mmap.set_bit(MMF_OOM_SKIP)'), then=MINE),))\n"
    )
    era = find_era(wrote(tmp_path, text))
    assert advise(era) == []
    exploration = Exploration(Instance(era, find_scenario("single")))
    assert "mm.exit_mmap.mine" not in exploration.untaken()
    assert era.step("mm.exit_mmap.mine").at is MmputAt.PATCH_1
    wrote(tmp_path, text + "\n# changed, and declared again\n")
    find_era(era.file)


def test_a_field_that_a_patch_declares_after_the_first_proof_is_known_to_the_next(tmp_path: Path) -> None:
    world = CROWDS[0]
    known, variables = len(starting_values()), len(sample(find_era("v4.15"), world)[0].variables)
    text = HEAD + (
        "from oom_spec.language import flag\n"
        "from oom_spec.user_eras import new_field\n"
        "new_field(Mm, 'seen_later', flag('A new MMF flag.'))\n"
        "ERA = Era(id='later', title='', parent=PARENT)\n"
    )
    find_era(wrote(tmp_path, text))
    assert len(starting_values()) == known + 1
    assert starting_values()["Mm.seen_later"] == (False,)
    mms = len(world.structure().objects["Mm"])
    assert len(sample(find_era("v4.15"), world)[0].variables) == variables + mms


# -- files that cannot be read -------------------------------------------------------------------

NEW = "`oomspec new-era NAME --from ERA` writes one to start from"


def test_a_folder_is_no_patch(tmp_path: Path) -> None:
    with pytest.raises(UserEraError) as caught:
        find_era(f"{tmp_path}{os.sep}")
    assert str(caught.value) == f"{tmp_path}{os.sep}: is a folder: name the Python file of your patch in it"


def test_a_missing_file_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    name = str(tmp_path / "mime.py")
    with pytest.raises(UserEraError) as caught:
        find_era(name)
    assert str(caught.value) == f"{name}: no such file; {NEW}"
    there = wrote(tmp_path, patch())
    with pytest.raises(UserEraError) as caught:
        find_era(name)
    assert str(caught.value) == f"{name}: no such file; did you mean {there!r}?"


def test_a_pipe_is_no_patch(tmp_path: Path) -> None:
    name = str(tmp_path / "pipe.py")
    os.mkfifo(name)
    with pytest.raises(UserEraError) as caught:
        find_era(name)
    assert str(caught.value) == f"{name}: is no regular file; {NEW}"


def test_an_unreadable_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    name = wrote(tmp_path, patch())
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UserEraError) as caught:
        find_era(name)
    assert str(caught.value) == f"{name}: cannot be read (Permission denied): check its permissions"


def test_a_name_that_is_a_file_without_its_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrote(tmp_path, patch())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError) as caught:
        find_era("mine")
    assert str(caught.value) == ("unknown era 'mine'; did you mean the file './mine.py'? `oomspec eras` lists them all")


def test_files_that_are_each_others_parent_are_told(tmp_path: Path) -> None:
    for name, other in (("one", "two"), ("two", "one")):
        parent = str(tmp_path / f"{other}.py")
        wrote(tmp_path, f"from oom_spec.eras import find_era\nPARENT = find_era({parent!r})\n", f"{name}.py")
    one = str(tmp_path / "one.py")
    with pytest.raises(UserEraError) as caught:
        find_era(one)
    assert str(caught.value) == (
        f"{one}: is its own parent, perhaps by way of another file: begin from an era of the list"
    )


# -- what is wrong in a file ---------------------------------------------------------------------

WRONG: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", f"mine.py: an empty file; {NEW}"),
    "comments only": ("# nothing\n", f"mine.py: an empty file; {NEW}"),
    "not UTF-8": (
        b"# \n\xff\xfe",
        f"mine.py:2: no text in UTF-8 (byte 3): a patch is a Python file; {NEW}",
    ),
    "binary": (
        b"\x7fELF\0\0",
        f"mine.py:1: a binary file (it has a zero byte): a patch is a Python file; {NEW}",
    ),
    "syntax error": (
        patch(old="def always(", new="def always)"),
        ("mine.py:13: unmatched ')' at 'def always)world: World, mm: Mm) -> None:': Python cannot read this; mend it"),
    ),
    "import of an unknown name": (
        patch(old="import Event, Guard", new="import Event, Guards"),
        "mine.py:4: ImportError: cannot import name 'Guards' from 'oom_spec.protocol.names'; did you mean `Guard`?",
    ),
    "import of an unknown module": (
        "import oom_sepc\n",
        "mine.py:1: ModuleNotFoundError: No module named 'oom_sepc'; a patch is one file, which imports from oom_spec",
    ),
    "exception": (
        patch(old="YES =", new="1 / 0\nYES ="),
        "mine.py:9: ZeroDivisionError: division by zero; mend this line",
    ),
    "unknown name": (
        patch(old="added=(always,)", new="added=(always1,)"),
        "mine.py:22: NameError: name 'always1' is not defined; did you mean `always`?",
    ),
    "a name of the language that is not imported": (
        patch(old="step\nfrom", new="every\nfrom"),
        "mine.py:12: NameError: name 'step' is not defined; write `from oom_spec.language import step`",
    ),
    "unknown point": (
        patch(old="at=MmputAt.FENCE_TEST", new="at=MmputAt.FENCE_TES"),
        "mine.py:12: AttributeError: FENCE_TES; did you mean `FENCE_TEST`?",
    ),
    "exit": ("import sys\nsys.exit(0)\n", "mine.py:2: it ends the program: leave out `exit`; a patch only defines ERA"),
    "unknown parent": (
        patch(old='find_era("E5")', new='find_era("rientjes-2017-06-41")'),
        (
            "mine.py:8: unknown era 'rientjes-2017-06-41'; did you mean 'rientjes-2017-06-14'? `oomspec eras` lists "
            "them all"
        ),
    ),
    "no ERA": (HEAD, "mine.py:11: no ERA: end the file with `ERA = Era(id=..., parent=find_era(...), ...)`"),
    "ERA under another name": (patch(old="ERA = Era(", new="MINE = Era("), "mine.py:18: no ERA: call it ERA, not MINE"),
    "ERA of a wrong type": (
        patch() + "ERA = (ERA,)\n",
        "mine.py:18: ERA is a tuple: write `ERA = Era(id=..., parent=find_era(...), ...)`",
    ),
    "unknown argument": (
        patch(old="added=", new="add="),
        "mine.py:18: TypeError: Era.__init__() got an unexpected keyword argument 'add'; did you mean `added`?",
    ),
    "insane id": (
        patch(old='id="mine"', new='id="my patch"'),
        ("mine.py:19: id='my patch': begin with a letter, and use letters, digits, `-`, `_` and `.` (60 at most)"),
    ),
    "id of another era": (
        patch(old='id="mine"', new='id="e5"'),
        "mine.py:19: the name 'e5' is that of E5: choose another",
    ),
    "alias of another era": (
        patch(old='title="mine"', new='aliases=("v4.14",), title="mine"'),
        "mine.py:20: the name 'v4.14' is that of E5: choose another",
    ),
    "title that is no text": (
        patch(old='title="mine"', new="title=3"),
        "mine.py:20: title= is an int: write a text in quotes",
    ),
    "no parent": (
        patch(old="    parent=PARENT,\n", new=""),
        'mine.py:18: no parent: write `parent=find_era("v4.14")`, or another era',
    ),
    "parent that is a name": (
        patch(old="parent=PARENT", new='parent="E5"'),
        'mine.py:21: parent= is a str: write `parent=find_era("v4.14")`, or another era',
    ),
    "standing that is a text": (
        patch(old='title="mine"', new='standing="mine", title="mine"'),
        "mine.py:20: standing= is a str: Standing.PROPOSED",
    ),
    "step without a comma": (
        patch(old="added=(always,)", new="added=(always)"),
        "mine.py:22: added= is no tuple: write `added=(always,)`, with the comma",
    ),
    "id without a comma": (
        patch(old="removed=(YES, NO)", new="removed=('a.b')"),
        "mine.py:23: removed= is no tuple: write `removed=('a.b',)`, with the comma",
    ),
    "number for a tuple": (
        patch(old="removed=(YES, NO)", new="removed=3"),
        "mine.py:23: removed= is an int: write a tuple, `removed=(...,)`",
    ),
    "step removed instead of its id": (
        patch(old="removed=(YES, NO)", new="removed=(always,)"),
        "mine.py:23: removed= holds a step: write its id, `always.id`",
    ),
    "text among the steps": (
        patch(old="added=(always,)", new="added=(YES,)"),
        "mine.py:22: added= holds a str: it takes steps",
    ),
    "plain function among the steps": (
        patch(old="ERA =", new="def plain(mm: Mm) -> None:\n    pass\n\nERA =").replace("(always,)", "(plain,)"),
        "mine.py:18: `plain` is a plain function: put `@step(...)` above it",
    ),
    "removed step that the parent lacks": (
        patch(old="removed=(YES, NO)", new="removed=(YES + 's', NO)"),
        (
            "mine.py:23: removed= names mm.exit_mmap.tsk_is_oom_victim(current)[yes]s, but E5 has no such step; "
            "did you mean `mm.exit_mmap.tsk_is_oom_victim(current)[yes]`?"
        ),
    ),
    "replaced step that the parent lacks": (
        patch(old="added=(", new="replaced=("),
        (
            "mine.py:12: replaced= names mm.exit_mmap.always, but E5 has no such step (a new step goes into added=); "
            "did you mean `mm.exit_mmap.free_pgtables`?"
        ),
    ),
    "added step that the parent has": (
        patch(old='call="always"', new='call="tsk_is_oom_victim(current)", outcome="no"').replace(", NO)", ",)"),
        ("mine.py:12: E5 has a step mm.exit_mmap.tsk_is_oom_victim(current)[no]: name yours in replaced="),
    ),
    "two steps of one id": (
        patch(
            old="ERA =", new="first = always\n\n" + ALWAYS.split("\n\n\n")[0].format(body="pass") + "\n\nERA ="
        ).replace("added=(always,)", "added=(first, always)"),
        (
            "mine.py:20: two steps have the id mm.exit_mmap.always (lines 12 and 20): give them different outcomes, "
            "or leave one out"
        ),
    ),
    "one step twice": (
        patch(old="added=(always,)", new="added=(always, always)"),
        "mine.py:12: two steps have the id mm.exit_mmap.always: give them different outcomes, or leave one out",
    ),
    "both replaced and removed": (
        patch(old="added=(", new="replaced=(PARENT.step(YES),), added=("),
        "mine.py:18: mm.exit_mmap.tsk_is_oom_victim(current)[yes] is both replaced and removed: keep one of the two",
    ),
    "moved step that the parent lacks": (
        patch(old="added=(", new="replaced=(PARENT.step(YES + 's'),), added=("),
        (
            "mine.py:22: E5 has no step 'mm.exit_mmap.tsk_is_oom_victim(current)[yes]s'; did you mean "
            "'mm.exit_mmap.tsk_is_oom_victim(current)[yes]'? `oomspec show E5` lists them all"
        ),
    ),
    "class of ours": (
        patch(old="YES =", new="from oom_spec.language import Object\nclass Killer(Object): pass\nYES ="),
        "mine.py:10: class Killer(Object) hides ours: import it, or give yours another name",
    ),
    "field that is there already": (
        HEAD + "from oom_spec.user_eras import new_field\nnew_field(Mm, 'oom_skip', 3)\n",
        "mine.py:13: new_field(Mm, 'oom_skip', ...): give a flag, choice, count or reference",
    ),
    "field of a taken name": (
        HEAD + "from oom_spec.language import flag\nfrom oom_spec.user_eras import new_field\n"
        "new_field(Mm, 'oom_skip', flag('mine'))\n",
        "mine.py:14: Mm has `oom_skip` already: use it, or choose another name",
    ),
    # declarations of steps
    "no docstring": (
        patch(old="    '''The fence for every mm.'''\n", new=""),
        "mine.py:12: always: say in its docstring what the step means",
    ),
    "parameter without annotation": (
        patch(old="world: World,", new="world,"),
        "mine.py:12: always: annotate `world` with the object class it stands for",
    ),
    "point of another routine": (
        patch(old="at=MmputAt.FENCE_TEST", new="at=ReapAt.RETRY"),
        "mine.py:12: always: ReapAt.RETRY is no program point of Mm",
    ),
    "without its actor": (
        patch(old="world: World, mm: Mm", new="world: World"),
        "mine.py:12: always: a step of Mm takes it as a parameter",
    ),
    "binding of no parameter": (
        patch(old='call="always"', new='binds={"task": "executor"}, call="always"'),
        f"mine.py:12: {STEP}binds= names `task`, which is no parameter of it: they are world, mm",
    ),
    "binding by no field": (
        patch(old='call="always"', new='binds={"world": "executer"}, call="always"'),
        f"mine.py:12: {STEP}Mm has no `executer`: did you mean `executor`?",
    ),
}


BODIES = {
    "unknown field": (
        "requires(mm.oom_skipp, Guard.SKIP_SET)",
        "Mm declares no field `oom_skipp`: declare it in its class; did you mean `oom_skip`?",
    ),
    "assigned field that is unknown": (
        "mm.oom_skipp = True",
        "Mm declares no field `oom_skipp`: declare it in its class; did you mean `oom_skip`?",
    ),
    "fixed field": ("mm.ksmd = True", "Mm.ksmd is fixed by the scenario; declare a field to change it"),
    "value of another sort": ("mm.oom_skip = 3", "3 is not a truth value"),
    "program counter of another actor": (
        "requires(mm.mmput_at == MmputAt.IDLE, Guard.SKIP_SET)",
        (
            "Mm.mmput_at is a program counter: no step and no property reads one; state where a step stands with "
            "`at=`, and let other actors see a flag, lock or count"
        ),
    ),
    "guard without a name": (
        "requires(mm.oom_skip)",
        "TypeError: requires() missing 1 required positional argument: 'guard'; mend this line",
    ),
    "guard whose name is a text": (
        "requires(mm.oom_skip, 'skip is set')",
        "requires(..., 'skip is set'): name the reason by a member of an enum, such as Guard",
    ),
    "guard that is no truth value": (
        "requires(1, Guard.SKIP_SET)",
        "requires(1, Guard.SKIP_SET): a guard is a truth value",
    ),
    "history in a guard": (
        "requires(mm.unmapped, Guard.SKIP_SET)",
        (
            "the history field Mm.unmapped decides what happens: history is for properties; use `when(...)` to "
            "record it, and an ordinary field to act on it"
        ),
    ),
    "object for a truth value": (
        "mm.oom_skip = True if mm else False",
        "`mm` is an object, which is always true: ask for a field of it",
    ),
    "object in a conjunction": (
        "mm.oom_skip = mm and True",
        "`mm` is an object, which is always true: ask for a field of it",
    ),
    "object that is negated": (
        "mm.oom_skip = not mm",
        "`mm` is an object, which is always true: ask for a field of it",
    ),
    "loop over objects": (
        "[None for task in world.all(Task)]",
        (
            "a Python loop or `in` over all Task objects: say `every(...)`, `some(...)` or `.fill(...)`, or make it "
            "one step per object; a loop would be unrolled for this instance's size and prove nothing of others"
        ),
    ),
    "unknown event": (
        "world.announce('exit sets skip', mm)",
        "announce('exit sets skip', ...): name a member of Event",
    ),
    "event without its objects": (
        "world.announce(Event.EXIT_SETS_SKIP)",
        "announce(Event.EXIT_SETS_SKIP, ...) takes these objects: mm",
    ),
    "event with other objects": (
        "world.announce(Event.EXIT_SETS_SKIP, world)",
        "announce(Event.EXIT_SETS_SKIP, ...) takes these objects: mm",
    ),
    "exception in a step": (
        "requires(mn.oom_skip, Guard.SKIP_SET)",
        "NameError: name 'mn' is not defined; did you mean `mm`?",
    ),
    "unbounded loop": (
        "while mm.reapable != 0: pass",
        (
            "500 decisions on one path, the last on `(>= mm0.reapable 1)`: an unbounded loop? make each round a step "
            "of its own"
        ),
    ),
    "another effect each time": (
        "mm.oom_skip = bool(globals().setdefault('often', []).append(1) or len(globals()['often']) % 2)",
        "it does not do the same when it is run again: a step depends on its objects alone",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_told_with_its_line(case: str, tmp_path: Path) -> None:
    text, expected = WRONG[case]
    assert complaint(tmp_path, text) == expected


@pytest.mark.parametrize("case", BODIES)
def test_a_wrong_step_is_told_with_its_line(case: str, tmp_path: Path) -> None:
    body, expected = BODIES[case]
    place = STEP_LINE if "binds" in body else BODY_LINE
    if case in OF_THE_WHOLE_STEP:
        place = STEP_LINE
    assert complaint(tmp_path, patch(body)) == f"mine.py:{place}: {STEP}{expected}"


OF_THE_WHOLE_STEP = {
    "history in a guard",
    "unknown event",
    "event without its objects",
    "event with other objects",
    "another effect each time",
}
"""What shows only when the step has been run to its end is told with the line where the step begins."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("while True:\n    pass\n", "mine.py:2: still busy after 0.2 s: {loop}"),
        (patch("while True: pass"), "mine.py:15: step mm.exit_mmap.always: still busy after 0.2 s: {loop}"),
    ],
    ids=["at import", "in a step"],
)
def test_an_endless_loop_is_told(text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_eras, "SECONDS", 0.2)
    loop = "an endless loop? make each round a step of its own"
    found = complaint(tmp_path, text)
    assert found.replace("mine.py:1:", "mine.py:2:") == expected.format(loop=loop)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_the_parent_of_a_patch_does_not_stop_its_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = wrote(tmp_path, patch(), "parent.py")
    monkeypatch.setattr(user_eras, "SECONDS", 1.0)
    text = f"from oom_spec.eras import find_era\nfind_era({parent!r})\nwhile True:\n    pass\n"
    assert "still busy after 1 s" in complaint(tmp_path, text)


def test_a_step_of_too_many_paths_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_eras, "MOST_PATHS", 7)
    three = "bool(mm.oom_skip), bool(mm.unstable), bool(mm.gathered)"
    assert complaint(tmp_path, patch(three)) == (
        "mine.py:12: step mm.exit_mmap.always: more than 7 paths: make each outcome a step of its own"
    )
    find_era(wrote(tmp_path, patch("bool(mm.oom_skip), bool(mm.unstable)")))


def test_a_field_has_one_meaning(tmp_path: Path) -> None:
    def text(declaration: str) -> str:
        imports = "from oom_spec.language import count, flag\nfrom oom_spec.user_eras import new_field\n"
        return patch(old="YES =", new=f"{imports}new_field(Mm, 'of_two', {declaration})\nYES =")

    first = wrote(tmp_path, text("flag('A flag.')"), "first.py")
    find_era(first)
    find_era(wrote(tmp_path, text("flag('The same.')"), "second.py"))
    assert complaint(tmp_path, text("count('A count.', upto=3)")) == (
        f"mine.py:11: Mm.of_two is declared otherwise by {tmp_path / 'second.py'}: choose another name"
    )


def test_a_refused_file_leaves_the_classes_as_they_were(tmp_path: Path) -> None:
    before = dict(Object.classes)
    complaint(tmp_path, WRONG["class of ours"][0])
    assert Object.classes == before

"""`oomspec new-era` writes a patch that works as it is, and the other commands take its path like any era."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from oom_spec.advice import advise
from oom_spec.eras import all_eras, find_era
from oom_spec.exploring import Exploration
from oom_spec.instances import Instance
from oom_spec.properties import find_properties
from oom_spec.scenarios import find_scenario
from oomspec.commands.new_era import ABOVE_EXAMPLE, template

from .conftest import Run
from .running import Done, shell

INSANE = "is no name for an era: begin with a letter, and use letters, digits, `-`, `_` and `.` (60 at most)"
NOTHING = "note: this patch changes nothing: my-fence takes the same steps as E5\n"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def with_example(text: str) -> str:
    """A new file with the worked example switched on."""
    marker = f"# {ABOVE_EXAMPLE.splitlines()[-1]}\n\n"
    head, example = text.split(marker)
    return head + "".join(line.removeprefix("#").removeprefix(" ") for line in example.splitlines(keepends=True))


def test_new_era_writes_a_file_and_says_how_to_go_on(oomspec: Run) -> None:
    assert oomspec("new-era", "my-fence", "--from", "v4.14") == Done(
        0,
        "wrote ./my-fence.py: equal to E5 (v4.14) until you edit it\n"
        "    oomspec show E5  # steps, guards, program points\n"
        "    oomspec check ./my-fence.py all\n",
        "",
    )
    era = find_era("my-fence.py")
    assert (era.id, era.parent) == ("my-fence", find_era("E5"))
    assert era.steps == find_era("E5").steps


@pytest.mark.parametrize("parent", [era.id for era in all_eras()])
def test_the_file_and_its_example_are_good_for_every_era(parent: str) -> None:
    text = template("mine", find_era(parent), Path("mine.py"))
    Path("mine.py").write_text(text, "utf-8")
    era = find_era("./mine.py")
    assert advise(era) == [f"this patch changes nothing: mine takes the same steps as {parent}"]
    Path("mine.py").write_text(with_example(text), "utf-8")
    era = find_era("./mine.py")
    assert advise(era) == []
    assert [each.id for each in era.added] == ["mm.exit_mmap.set_bit(MMF_OOM_SKIP)[too early]"]
    assert len(era.replaced) == 1


def test_the_example_breaks_what_it_says() -> None:
    Path("mine.py").write_text(with_example(template("mine", find_era("E5"), Path("mine.py"))), "utf-8")
    exploration = Exploration(Instance(find_era("mine.py"), find_scenario("single")), find_properties("N2x"))
    assert exploration.findings["N2x"].violated is not None
    before = Exploration(Instance(find_era("E5"), find_scenario("single")), find_properties("N2x"))
    assert before.findings["N2x"].violated is None


def test_new_era_begins_from_a_patch_too(oomspec: Run) -> None:
    oomspec("new-era", "first", "--from", "E5")
    Path("sub").mkdir()
    done = oomspec("new-era", "second", "--from", "./first.py", "--output", "sub/second.py")
    assert done.out.startswith("wrote sub/second.py: equal to first until you edit it\n    oomspec show ./first.py")
    assert find_era("sub/second.py").parent is find_era("./first.py")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["my fence", "--from", "E5"], f"'my fence' {INSANE}"),
        (["../x", "--from", "E5"], f"'../x' {INSANE}"),
        (["V4.12", "--from", "E5"], "the name 'V4.12' is that of E4: choose another"),
        (
            ["mine", "--from", "hocko-2017-07-42"],
            "unknown era 'hocko-2017-07-42'; did you mean 'hocko-2017-07-24'? `oomspec eras` lists them all",
        ),
        (["mine"], "Missing option '--from'; `oomspec new-era --help` says how"),
        (["there", "--from", "E5"], "there.py: is there already: --force overwrites it, --output FILE writes another"),
        (
            ["mine", "--from", "E5", "--output", "folder"],
            "folder: is a folder: name a file in it, such as folder/mine.py",
        ),
        (["mine", "--from", "E5", "--output", "none/mine.py"], "none/mine.py: No such file or directory"),
    ],
)
def test_new_era_refuses_in_one_line(arguments: list[str], message: str, oomspec: Run) -> None:
    Path("there.py").write_text("kept\n", "utf-8")
    Path("folder").mkdir()
    assert oomspec("new-era", *arguments) == Done(2, "", f"oomspec: {message}\n")
    assert Path("there.py").read_text("utf-8") == "kept\n"


def test_force_overwrites(oomspec: Run) -> None:
    Path("my-fence.py").write_text("old\n", "utf-8")
    assert oomspec("new-era", "my-fence", "--from", "E5", "--force").status == 0
    assert find_era("my-fence.py").id == "my-fence"


# -- the other commands --------------------------------------------------------------------------


@pytest.fixture
def fence(oomspec: Run) -> str:
    """A patch that changes nothing."""
    oomspec("new-era", "my-fence", "--from", "E5")
    return f".{os.sep}my-fence.py"


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "{}"],
        ["check", "{}", "S1", "--scenario", "single", "--method", "explore"],
        ["explain", "{}", "S1", "--scenario", "single"],
        ["explore", "{}", "--scenario", "single"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_takes_a_patch_and_gives_its_advice_on_standard_error(
    arguments: list[str], fence: str, oomspec: Run
) -> None:
    arguments = [each.format(fence) for each in arguments]
    plain = oomspec(*arguments)
    assert (plain.status, plain.err) == (0, NOTHING)
    as_json = oomspec(*arguments, "--json")
    assert as_json.err == NOTHING
    for line in as_json.out.splitlines():
        assert json.loads(line)["schema"] == 1


def test_replay_takes_a_patch(fence: str, oomspec: Run) -> None:
    race = b"victim\nexit_mm\nmmput\nexit_mmap\n"
    done = oomspec("replay", "-", "--era", fence, "--scenario", "voluntary", stdin=race)
    assert (done.status, done.err) == (0, NOTHING)
    assert done.out.startswith("my-fence allows this run in voluntary")


def test_the_era_of_a_patch_is_shown_with_its_file_and_its_changes(oomspec: Run) -> None:
    Path("mine.py").write_text(with_example(template("mine", find_era("E5"), Path("mine.py"))), "utf-8")
    shown = oomspec("show", "mine.py").out.splitlines()
    assert "    read from mine.py" in shown
    assert "  mm.exit_mmap.set_bit(MMF_OOM_SKIP)[too early] [new]" in shown
    assert "  mm.exit_mmap.mmu_notifier_release [replaced]" in shown
    assert "    NOTIFIER_RELEASE -> SET_SKIP_EARLY (PATCH_1)" in shown
    points = oomspec("show", "mine.py", "--points").out.splitlines()
    assert "  SET_SKIP_EARLY (PATCH_1) a user's patch: its own point 1" in points
    assert "  spare, for a patch: PATCH_2, PATCH_3, PATCH_4, PATCH_5, PATCH_6" in points
    assert "    removed: mm.mmput.set_bit(MMF_OOM_SKIP)" in [
        line.replace("__mmput", "mmput") for line in oomspec("show", "E5").out.splitlines()
    ]


def test_explore_tells_the_steps_of_a_patch_that_nothing_takes(oomspec: Run) -> None:
    text = with_example(template("mine", find_era("E5"), Path("mine.py")))
    guard = "requires(mm.notifiers, Guard.HAS_NOTIFIERS)"
    text = text.replace("    world.announce(", f"    {guard}\n    world.announce(")
    Path("mine.py").write_text(text, "utf-8")
    line = next(number for number, each in enumerate(text.splitlines(), 1) if each == "@step(")
    assert oomspec("explore", "mine.py", "--scenario", "single").err == (
        f"note: step mm.exit_mmap.set_bit(MMF_OOM_SKIP)[too early] (line {line}) is never taken in single\n"
    )


def test_points_are_listed_with_the_steps_that_leave_them(oomspec: Run) -> None:
    shown = oomspec("show", "v4.14", "--points").out.splitlines()
    place = shown.index("  FENCE_TEST               exit_mmap (v4.14 on): is the fence needed?")
    assert shown[place + 1 : place + 3] == [
        "      mm.exit_mmap.tsk_is_oom_victim(current)[yes]",
        "      mm.exit_mmap.tsk_is_oom_victim(current)[no]",
    ]
    assert "MmputAt (of Mm)" in shown
    assert "  spare, for a patch: PATCH_1, PATCH_2, PATCH_3, PATCH_4, PATCH_5, PATCH_6" in shown
    points = [json.loads(line) for line in oomspec("show", "v4.14", "--points", "--json").out.splitlines()]
    assert {"schema": 1, "routine": "MmputAt", "point": "IDLE", "at_rest": True, "leaving": []}.items() <= next(
        point for point in points if point["point"] == "IDLE" and point["routine"] == "MmputAt"
    ).items()
    assert oomspec("show", "v4.14", "x", "--points") == Done(
        2, "", "oomspec: --points shows those of the whole era: leave out the step\n"
    )


@pytest.mark.parametrize("command", ["check {} all", "show {}", "explain {} S1", "explore {}", "matrix {}"])
def test_a_wrong_file_is_one_line_and_no_traceback(command: str) -> None:
    Path("broken.py").write_text("import oom_spec\n\ndef broken(:\n", "utf-8")
    done = shell("oomspec " + command.format("./broken.py"), Path.cwd())
    assert (done.status, done.out) == (2, "")
    assert done.err == ("oomspec: ./broken.py:3: invalid syntax at 'def broken(:': Python cannot read this; mend it\n")

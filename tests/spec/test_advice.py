"""Advice about a user's patch: what is no error and hardly meant."""

from __future__ import annotations

from pathlib import Path

from oom_spec.advice import advise, advise_untaken
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration
from oom_spec.instances import Instance
from oom_spec.scenarios import find_scenario

from .patches import HEAD, patch, wrote


def advice(folder: Path, text: str) -> list[str]:
    return advise(find_era(wrote(folder, text)))


def test_a_patch_that_changes_nothing_is_told(tmp_path: Path) -> None:
    empty = HEAD + 'ERA = Era(id="mine", title="", parent=PARENT)\n'
    assert advice(tmp_path, empty) == ["this patch changes nothing: mine takes the same steps as E5"]


SAME = """\
@step(Mm, at=MmputAt.FENCE_UP_WRITE, then=MmputAt.FREE_PGTABLES, kernel="mm/mmap.c:exit_mmap", call="up_write")
def again(mm: Mm) -> None:
    '''The lock is dropped.'''
    mm.writer = Writer.NOBODY{more}


ERA = Era(id="mine", title="", parent=PARENT, replaced=(again,))
"""


def test_a_step_that_replaces_an_equal_one_is_told(tmp_path: Path) -> None:
    head = HEAD.replace("import Mm,", "import Mm, Writer,")
    assert advice(tmp_path, head + SAME.format(more="")) == [
        "step mm.exit_mmap.up_write (line 12) replaces a step that does the same",
        "this patch changes nothing: mine takes the same steps as E5",
    ]
    assert advice(tmp_path, head + SAME.format(more="\n    mm.gathered = False")) == []
    assert advice(tmp_path, head + SAME.format(more="").replace("FREE_PGTABLES", "TLB_FINISH")) == []
    for remark in ("waits", "optional", "environment"):
        other = SAME.format(more="").replace('call="up_write"', f'call="up_write", {remark}=True')
        assert advice(tmp_path, head + other) == []


def test_a_step_that_the_era_does_not_mention_is_told(tmp_path: Path) -> None:
    assert advice(tmp_path, patch(old="added=(always,)", new="added=()").replace("(YES, NO)", "()")) == [
        "this patch changes nothing: mine takes the same steps as E5",
        "step mm.exit_mmap.always (line 12) is defined, and neither in added= nor in replaced=",
    ]


def test_a_step_whose_guards_exclude_one_another_is_told(tmp_path: Path) -> None:
    body = "requires(both(mm.oom_skip, negate(mm.oom_skip)), Guard.SKIP_SET)"
    assert advice(tmp_path, patch(body)) == [
        "step mm.exit_mmap.always (line 12) can never be taken: its guards exclude one another"
    ]


def test_a_step_at_a_point_to_which_nothing_leads_is_told(tmp_path: Path) -> None:
    text = patch(old="at=MmputAt.FENCE_TEST", new="at=MmputAt.PATCH_1").replace("(YES, NO)", "()")
    assert advice(tmp_path, text) == ["no step leads to MmputAt.PATCH_1, so mm.exit_mmap.always is never taken"]


def test_a_point_that_nothing_leaves_any_more_is_told(tmp_path: Path) -> None:
    text = patch(old="added=(always,)", new="added=()")
    assert advice(tmp_path, text)[1:] == [
        (
            "no step leaves MmputAt.FENCE_TEST, to which mm.exit_mmap.set_bit(MMF_OOM_SKIP) leads: whoever gets there "
            "stays for ever"
        )
    ]


def test_steps_of_the_parent_that_nothing_reaches_any_more_are_told(tmp_path: Path) -> None:
    found = advice(tmp_path, patch(old="then=MmputAt.FENCE_DOWN_WRITE", new="then=MmputAt.FREE_PGTABLES"))
    assert found == [
        (
            "no step leads to MmputAt.FENCE_DOWN_WRITE, so mm.exit_mmap.down_write and mm.exit_mmap.down_write[waits] "
            "are never taken"
        ),
        "no step leads to MmputAt.FENCE_DOWN_WRITE_WAITS, so mm.exit_mmap.down_write[wakes] is never taken",
        "no step leads to MmputAt.FENCE_UP_WRITE, so mm.exit_mmap.up_write is never taken",
    ]


def test_a_step_that_no_scenario_takes_is_told(tmp_path: Path) -> None:
    era = find_era(wrote(tmp_path, patch("requires(mm.notifiers, Guard.HAS_NOTIFIERS)")))
    untaken = Exploration(Instance(era, find_scenario("single"))).untaken()
    assert advise_untaken(era, untaken, ["single"]) == ["step mm.exit_mmap.always (line 12) is never taken in single"]
    assert advise_untaken(era, untaken, ["single", "marked"]) == [
        "step mm.exit_mmap.always (line 12) is never taken in any of 2 scenarios"
    ]
    assert advise_untaken(era, [], ["single"]) == []


def test_there_is_no_advice_about_an_era_without_a_parent() -> None:
    assert advise(find_era("E4")) == []

"""Diagrams read back: the mail's, bare lists of calls, our own; and what each era says of them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from oom_spec.diagrams import draw
from oom_spec.instances import Instance
from oom_spec.language import SpecError
from oom_spec.matching import Match, match
from oom_spec.properties import PROPERTIES, find_properties
from oom_spec.protocol.names import Guard
from oom_spec.reading import Diagram, read_diagram

from .test_diagrams import OTHER_RACES, RACES, instance_of, race

CALLS = Path(__file__).parents[1] / "data" / "mail-2017-07-25-calls.txt"
MAIL = Path(__file__).parents[3] / "shared" / "reference" / "mail-2017-07-25-hocko.txt"
N1S = find_properties("N1s")[0]
NEEDLESS = {"N1s", "N1v", "N2r", "N2x", "N2q", "N3"}


def mails_calls() -> Diagram:
    return read_diagram(CALLS.read_text())


def matched(text: str, era: str = "v4.12", scenario: str = "marked") -> Match:
    return match(instance_of(era, scenario), read_diagram(text), PROPERTIES)


def broken(found: Match) -> list[tuple[str, int | None]]:
    return [(each.property.id, each.line) for each in found.breaks]


# -- the mail's diagram ------------------------------------------------------------------------


@pytest.mark.parametrize(("scenario", "filled"), [("marked", 9), ("single", 29)])
def test_v4_12_allows_the_mails_diagram_and_it_breaks_n2r_at_its_last_line(scenario: str, filled: int) -> None:
    found = match(instance_of("v4.12", scenario), mails_calls(), PROPERTIES)
    assert found.allowed
    assert found.filled == filled
    assert broken(found) == [("N2r", 9)]
    assert not found.harmless
    assert [step.column for step in found.steps if 9 in step.lines] == ["reaper"]
    assert [step.column for step in found.steps if 8 in step.lines] == ["P1.t0"]


@pytest.mark.parametrize("scenario", ["marked", "single"])
def test_v4_12_extends_the_mails_diagram_to_a_needless_kill(scenario: str) -> None:
    found = match(instance_of("v4.12", scenario), mails_calls(), PROPERTIES)
    extension = found.extension(N1S)
    assert extension is not None
    assert (extension.more, extension.kills) == (7, 1)
    assert extension.continuation[-1].id == "killer.select_bad_process.oom_kill_process(killer, P2.t0)"
    assert extension.run.property == "N1s"
    assert extension.run.depth == len(found.steps) + 7


@pytest.mark.parametrize("scenario", ["marked", "single"])
def test_v4_14_has_no_mmget_not_zero_in_the_reaper(scenario: str) -> None:
    found = match(instance_of("v4.14", scenario), mails_calls(), PROPERTIES)
    assert not found.allowed
    assert found.stopped_at is not None
    assert found.stopped_at.line == 7
    assert found.reason == "line 7: `mmget_not_zero` names no step of the reaper in v4.14"
    assert found.extension(N1S) is None


@pytest.mark.parametrize("scenario", ["marked", "single"])
def test_v4_14_allows_the_rest_of_the_mails_diagram_and_it_is_harmless(scenario: str) -> None:
    text = "".join(line for line in CALLS.read_text().splitlines(keepends=True) if "mmget" not in line)
    found = matched(text, "v4.14", scenario)
    assert found.allowed
    assert found.harmless
    assert not NEEDLESS & {each.property.id for each in found.breaks}
    assert found.extension(N1S) is None


def test_harmless_speaks_of_every_matching_run_not_only_of_the_shortest() -> None:
    found = matched("do_exit\nexit_mm\n")
    assert found.allowed
    assert not found.breaks
    assert [each.id for each in found.may_break] == ["L6"]  # nothing keeps this reaper from coming first
    later = matched("do_exit\nexit_mm\nmmput\nexit_mmap\nfree_pgtables\n")
    assert later.allowed
    assert not later.breaks
    assert not later.harmless
    assert {each.id for each in later.may_break} == {"N2r", "L6"}


@pytest.mark.skipif(not MAIL.exists(), reason="the mail itself is not part of the repository")
def test_the_mail_itself_is_read_and_matched_quickly() -> None:
    started = time.process_time()
    diagram = read_diagram(MAIL.read_text())
    found = match(Instance(instance_of("v4.12", "marked").era, instance_of("v4.12", "marked").scenario), diagram)
    assert time.process_time() - started < 2
    assert [call.name for call in diagram.calls] == [call.name for call in mails_calls().calls]
    assert [call.comment for call in diagram.calls] == ["", "", "", "", "", "", "fails", "frees memory", ""]
    assert found.allowed


# -- our own diagrams --------------------------------------------------------------------------


@pytest.mark.parametrize(("era", "scenario", "name"), RACES)
@pytest.mark.parametrize("quoted", [False, True])
def test_a_drawn_race_is_read_back_as_the_same_run(era: str, scenario: str, name: str, quoted: bool) -> None:
    run = race(era, scenario, name)
    text = draw(run)
    if quoted:
        text = "Look at this:\n\n" + "".join(f"> > {line}".rstrip() + "\n" for line in text.splitlines()) + "\n-- \nx\n"
    diagram = read_diagram(text)
    assert diagram.exact
    assert diagram.scenario == scenario
    found = match(instance_of(era, scenario), diagram, find_properties(name))
    assert found.filled == 0
    assert [each.id for each in found.actions] == [step.action for step in run.steps]
    assert [(each.property.id, each.step) for each in found.breaks] == [(name, run.depth)]
    assert found.run == run


@pytest.mark.parametrize(("era", "scenario", "name"), RACES)
@pytest.mark.parametrize("options", [{"race_only": True}, {"whole": True}])
def test_other_drawings_of_a_race_are_read_back_too(
    era: str, scenario: str, name: str, options: dict[str, bool]
) -> None:
    text = draw(race(era, scenario, name), **options)
    found = match(instance_of(era, scenario), read_diagram(text), find_properties(name))
    assert found.allowed
    assert [each.property.id for each in found.breaks] == [name]


@pytest.mark.parametrize(("era", "scenario", "name"), OTHER_RACES)
def test_a_drawn_race_of_any_era_is_read_back_as_the_same_run(era: str, scenario: str, name: str) -> None:
    run = race(era, scenario, name)
    found = match(instance_of(era, scenario), read_diagram(draw(run)), find_properties(name))
    assert found.allowed, found.reason
    assert found.filled == 0
    assert [each.id for each in found.actions] == [step.action for step in run.steps]
    assert [each.property.id for each in found.breaks] == ([] if run.ending or run.excuse else [name])
    narrow = read_diagram(draw(run, width=60))
    assert match(instance_of(era, scenario), narrow).actions == found.actions


def test_a_diagram_with_the_lock_calls_of_another_release_is_understood() -> None:
    text = "do_exit\nexit_mm\n{}\noom_reaper\noom_reap_task\n__oom_reap_task_mm\n{}\nunmap_page_range\n"
    for era in ("v4.14", "v4.19", "v6.1"):
        old = matched(text.format("down_read", "down_read_trylock"), era)
        new = matched(text.format("mmap_read_lock", "mmap_read_trylock"), era)
        assert old.allowed, old.reason
        assert old.actions == new.actions


def test_columns_settle_who_does_what() -> None:
    text = "P1.t1          reaper\n-------------  -------------\ndo_exit\nexit_mm\n"
    found = matched(text, scenario="threads")
    assert found.allowed
    assert {step.column for step in found.steps if step.lines} == {"P1.t1"}


# -- how people write calls ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("set_bit(MMF_OOM_SKIP, &mm->flags);", {"set_bit(MMF_OOM_SKIP)"}),
        ("exit_mmap(mm)", {"exit_mmap"}),
        ("mutex_lock(&oom_lock)", {"mutex_lock(oom_lock)"}),
        ("mmap_read_trylock(mm)", {"down_read_trylock", "mmap_read_trylock"}),
        ("up_read(&mm->mmap_sem)", {"up_read", "mmap_read_unlock"}),
        ("mmap_read_lock_killable(mm)", {"mmap_read_lock_killable"}),
        ("oom_scan_process_thread", {"oom_scan_process_thread", "oom_evaluate_task"}),
        ("mmput()", {"mmput"}),
        ("mmget_not_z...", {"mmget_not_zero"}),
    ],
)
def test_spellings_of_one_call(written: str, meant: set[str]) -> None:
    assert read_diagram(f"do_exit\n{written}\n").calls[1].names == meant


def test_two_calls_on_one_line_are_read_left_to_right() -> None:
    diagram = read_diagram("CPU0          CPU1\noom_reap_task  # first    do_exit\nexit_mm mmput\n")
    assert [(call.line, call.name, call.comment) for call in diagram.calls] == [
        (2, "oom_reap_task", "first"),
        (2, "do_exit", ""),
        (3, "exit_mm", ""),
        (3, "mmput", ""),
    ]


def test_a_comment_picks_the_outcome() -> None:
    failing = matched("oom_reap_task\ndown_read_trylock # fails\n", scenario="marked", era="v4.14")
    assert [step.action.step.outcome for step in failing.steps if 2 in step.lines] == ["fails"]
    any_outcome = matched("oom_reap_task\ndown_read_trylock # whatever\n", scenario="marked", era="v4.14")
    assert [step.action.step.outcome for step in any_outcome.steps if 2 in step.lines] == [""]


# -- refusals --------------------------------------------------------------------------------------


def test_the_wrong_order_is_refused_where_it_becomes_impossible() -> None:
    found = matched("oom_reap_task\nmmget_not_zero # fails\ndo_exit\n")
    assert not found.allowed
    assert found.stopped_at is not None
    assert found.stopped_at.line == 3


@pytest.mark.parametrize("entry", ["", "select_bad_process\n"])
def test_the_refusing_guards_are_named(entry: str) -> None:
    found = matched(f"oom_reap_task\nset_bit(MMF_OOM_SKIP)\n{entry}test_bit(MMF_OOM_SKIP) # clear\n")
    assert not found.allowed
    assert found.stopped_at is not None
    assert found.stopped_at.line == (4 if entry else 3)
    assert Guard.SKIP_CLEAR in found.guards
    assert f"killer needs `{Guard.SKIP_CLEAR.value}`" in found.reason


def test_an_excused_violation_is_no_break() -> None:
    found = matched("oom_reap_task\nschedule_timeout_idle(HZ/10) # gives up\nset_bit(MMF_OOM_SKIP)\n", "v4.14")
    assert found.allowed
    assert [step.column for step in found.steps if 2 in step.lines] == ["reaper"]
    assert found.breaks == ()
    assert found.harmless


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty: expected a race diagram, or one call per line"),
        (
            "Dear all,\nplease find nothing here.\n",
            "no diagram found: expected at least 2 lines in a row that name calls, such as `oom_reap_task`",
        ),
        (
            "> do_exit\n> exit_mm\n>   mmputt\n> __mmput\n",
            "line 3: nobody knows the call `mmputt`; did you mean `mmput`?",
        ),
        (
            "do_exit\nexit_mm\nqqqqqqqqqq\n",
            "line 3: nobody knows the call `qqqqqqqqqq`: write the kernel function's name, and remarks after `#`",
        ),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_diagram(text)
    assert str(caught.value) == message


def test_two_equally_short_readings_are_an_error() -> None:
    with pytest.raises(SpecError) as caught:
        matched("do_exit\nexit_mm\n", scenario="threads")
    assert str(caught.value) == (
        "line 1 is ambiguous: `do_exit` is a step of P1.t0 or P1.t1, and both readings fill in equally many steps; "
        "draw the diagram with columns, titled with these names"
    )


def test_an_outcome_that_no_step_has_is_said_so() -> None:
    found = matched("do_exit\nexit_mmap # fails\n")
    assert found.reason == (
        "line 2: no step of v4.9 - v4.12 is `exit_mmap # fails`: leave the remark out, or name an outcome"
    )


def test_a_column_of_nobody_is_an_error() -> None:
    with pytest.raises(SpecError, match=r"line 3: the column 'CPU0' is nobody in scenario marked: title it P1\.t0"):
        matched("CPU0     CPU1\n-------  -------\ndo_exit\nexit_mm\n")

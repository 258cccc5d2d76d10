"""A run as data and as a picture: columns are threads, lines fit, and JSON comes back as the same run."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from xml.etree import ElementTree as ET

import attrs
import pytest

from oom_spec.diagrams import Cell, draw, svg
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration, Hit
from oom_spec.instances import Instance
from oom_spec.language import SpecError
from oom_spec.lassos import FOR_EVER, NOBODY_ACTS
from oom_spec.matching import match
from oom_spec.properties import PROPERTIES, find_properties
from oom_spec.racing import Race, look
from oom_spec.reading import read_diagram
from oom_spec.scenarios import find_scenario
from oom_spec.traces import Run, from_json, heading_of, run_of, to_itf, to_json

RACES = [
    ("v4.12", "marked", "N1s"),
    ("v4.12", "marked", "N2r"),
    ("v4.12", "single", "N1s"),
    ("v4.12", "kthread-fault", "S4"),
    ("v4.14", "foreign-user", "S1"),
]
slow = pytest.mark.slow
OTHER_RACES = [
    ("E1", "marked", "S5r"),
    ("E2", "marked", "N1s"),
    pytest.param("E3", "khugepaged", "N2r", marks=slow),
    ("E5", "exec-foreign-user", "S1"),
    ("E7", "marked", "N2x"),
    ("E8", "oom-group", "S6m"),
    ("E9", "mrelease-foreign-user", "S5m"),
    ("E10", "marked", "N2q"),
    ("mrelease-first-form", "mrelease-unmarked", "S1"),
    ("v5.17-rc", "mrelease-unmarked", "S1"),
    ("E12b", "failed-fork", "S11"),
    ("E13", "failed-fork", "S11"),
    ("v6.18-dev", "mrelease-unmarked", "M1"),
    ("hocko-rfc-2018-09-10", "marked", "L1"),
    ("E12", "frozen", "L5"),
    ("E12", "fault-around", "S3"),
    ("E12", "last-attempt", "N4"),
]
"""A race of every kind that `RACES` has not: other threads, names, and questions."""


@cache
def instance_of(era: str, scenario: str) -> Instance:
    return Instance(find_era(era), find_scenario(scenario))


@cache
def race(era: str, scenario: str, name: str) -> Run:
    (subject,) = find_properties(name)
    found = (
        look(instance_of(era, scenario), subject).race or look(instance_of(era, scenario), subject, excuse=True).race
    )
    assert found is not None
    return found.run


def columns(text: str) -> dict[str, list[str]]:
    """The cells of each column by the rule under the titles, read without the reader."""
    lines = text.splitlines()
    rule = next(n for n, line in enumerate(lines) if line.startswith("---"))
    starts = [n for n, mark in enumerate(lines[rule]) if mark == "-" and (n == 0 or lines[rule][n - 1] == " ")]
    ends = [*starts[1:], 1000]
    found: dict[str, list[str]] = {}
    for start, end in zip(starts, ends, strict=True):
        rows = lines[rule + 1 : lines.index("", rule)]
        found[lines[rule - 1][start:end].strip()] = [row[start:end].rstrip() for row in rows if row[start:end].strip()]
    return found


def test_the_premature_skip_reads_as_in_a_commit_message() -> None:
    found = columns(draw(race("v4.12", "marked", "N2r")))
    assert found == {
        "victim (P1.t0)": [
            "do_exit",
            "  exit_signals # killed",
            "  exit_mm",
            "    down_read",
            "    task_lock; current->mm = NULL",
            "    up_read",
            "    mmput # last",
            "      __mmput",
        ],
        "oom_reaper": [
            "oom_reaper",
            "  oom_reap_task # P1.t0",
            "    __oom_reap_task_mm",
            "      mutex_lock(oom_lock)",
            "      down_read_trylock",
            "      mmget_not_zero # fails",
            "      up_read # nothing reaped",
            "      mutex_unlock(oom_lock) # true",
            "    tsk->oom_reaper_list = NULL",
            "    set_bit(MMF_OOM_SKIP)",
            "^^^ N2r breaks here",
        ],
    }


def test_heading_and_statement_say_what_is_shown() -> None:
    text = draw(race("v4.12", "marked", "N1s"))
    assert text.splitlines()[0] == (
        "E4 (v4.9 - v4.12), scenario marked: N1s is violated at depth 20, after a prefix of 20 steps"
    )
    statement = " ".join(text.partition("breaks here")[2].split())
    assert statement == f"N1s: {find_properties('N1s')[0].statement}"


def test_steps_of_mmput_stand_in_the_column_of_whoever_runs_it() -> None:
    found = columns(draw(race("v4.14", "foreign-user", "S1")))
    assert any(cell.strip() == "exit_mmap" for cell in found["foreign"])
    assert not any(cell.strip() == "exit_mmap" for cell in found["victim (P1.t0)"])
    dying = columns(draw(race("v4.12", "single", "N1s")))
    assert any(cell.strip() == "__mmput" for cell in dying["victim (P1.t0)"])


def test_a_dying_thread_that_allocates_is_marked_without_oom_kill_process() -> None:
    calls = read_diagram("task_will_free_mem(current) # yes\nmark_oom_victim\nwake_oom_reaper\n")
    run = match(instance_of("v4.12", "dying-allocates"), calls).run
    marking = [step for step in run.steps if step.column == "killer-self" and step.function == "mark_oom_victim"]
    assert marking
    for step in marking:
        assert step.frames == ("__alloc_pages_slowpath", "__alloc_pages_may_oom", "out_of_memory", "mark_oom_victim")


@pytest.mark.parametrize(("era", "scenario", "name"), RACES)
@pytest.mark.parametrize("options", [{}, {"whole": True}, {"race_only": True}])
def test_no_line_is_wider_than_a_mail_allows(era: str, scenario: str, name: str, options: dict[str, bool]) -> None:
    run = race(era, scenario, name)
    text = draw(run, **options)
    allowed = {1: 72, 2: 72, 3: 100}.get(len(columns(text)), 120)
    assert max(len(line) for line in text.splitlines()) <= allowed
    assert not any(line != line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize(
    ("era", "scenario", "name", "expected"),
    [
        ("E9", "mrelease-foreign-user", "S5m", ["victim (P1.t0)", "process_mrelease caller", "foreign"]),
        ("E12b", "failed-fork", "S11", ["parent in fork", "uprobes"]),
        ("E13", "failed-fork", "S11", ["parent in fork", "swapoff"]),
        ("E12", "fault-around", "S3", ["oom_reaper", "killer", "page fault (user)", "softirq (timer)"]),
        (
            "v4.14",
            "dying-threads",
            "S6t",
            ["P1.t0 allocating (killer-t0)", "P1.t1 allocating (killer-t1)"],
        ),
    ],
)
def test_a_column_is_titled_with_what_its_thread_is(era: str, scenario: str, name: str, expected: list[str]) -> None:
    assert list(columns(draw(race(era, scenario, name), width=150))) == expected


def test_mmput_of_a_half_built_mm_stands_with_the_walker_that_dropped_the_last_reference() -> None:
    text = (
        "parent in fork  uprobes                   swapoff\n"
        "--------------  ------------------------  -------------\n"
        "copy_process\n"
        "                register_for_each_vma\n"
        "                                          try_to_unuse\n"
        "mmput\n"
        "                mmput\n"
        "                                          mmput # last\n"
        "                                          exit_mmap\n"
    )
    found = match(instance_of("E12b", "failed-fork"), read_diagram(text))
    assert found.allowed, found.reason
    assert {step.column for step in found.run.steps if step.function == "exit_aio"} == {"swapoff"}


def test_exit_mmaps_own_reap_is_drawn_inside_exit_mmap() -> None:
    (cells,) = columns(draw(race("E7", "marked", "N2x"))).values()
    start = next(number for number, cell in enumerate(cells) if cell.strip() == "exit_mmap")
    assert [cell[8:] for cell in cells[start:-1]] == [
        "exit_mmap",
        "  mmu_notifier_release",
        "  mm_is_oom_victim # yes",
        "  mutex_lock(oom_lock)",
        "  __oom_reap_task_mm",
        "    set_bit(MMF_UNSTABLE)",
        "    unmap_page_range",
        "    tlb_finish_mmu",
        "  mutex_unlock(oom_lock)",
        "  set_bit(MMF_OOM_SKIP)",
    ]


@pytest.mark.parametrize(("era", "scenario", "name"), [*RACES, *OTHER_RACES])
def test_no_call_and_no_remark_is_cut_and_nesting_is_kept(era: str, scenario: str, name: str) -> None:
    run = race(era, scenario, name)
    text = draw(run)
    assert "..." not in text
    drawn = [cell.strip() for cells in columns(text).values() for cell in cells]
    for step in (*run.steps, *run.cycle):
        assert step.call in drawn or f"{step.call} # {step.remark}" in drawn
    if (era, scenario) == ("v4.14", "foreign-user"):
        return  # four columns of deep stacks: in one line indentation gives way
    for cells in columns(text).values():
        depths = [len(cell) - len(cell.lstrip()) for cell in cells if cell.strip()[0] not in "#^="]
        unit = min((depth for depth in depths if depth), default=1)
        assert unit <= 2
        assert all(depth % unit == 0 for depth in depths)
        assert all(after - before <= unit for before, after in pairwise(depths)), text


def test_a_remark_that_does_not_fit_stands_below_its_call() -> None:
    cell = Cell("reaper", 2, "test_bit(MMF_OOM_SKIP)", "clear")
    assert cell.lines(34, 2) == ["    test_bit(MMF_OOM_SKIP) # clear"]
    assert cell.lines(33, 2) == ["    test_bit(MMF_OOM_SKIP)", "      # clear"]
    assert cell.lines(24, 2) == ["  test_bit(MMF_OOM_SKIP)", "      # clear"]
    assert cell.lines(12, 2) == ["test_bit(...", "     # clear"]


def test_a_run_without_end_says_what_repeats() -> None:
    run = race("hocko-rfc-2018-09-10", "marked", "L1")
    assert run.cycle
    text = draw(run)
    after = text.partition("^^^ L1 breaks here\n")[2]
    assert after.startswith(f"=== {FOR_EVER}\n")
    drawn, again, told = after.partition("\n=== and again\n")
    assert again
    assert [step.call for step in run.cycle if step.call not in drawn] == []
    told = " ".join(told.split())
    assert "Unfair: mm0, which need not take mm.exit_mmap.free_pgtables(mm0); P1.t0, which" in told
    assert "Fair: reaper, which has no step anywhere on it (stands at WAIT); killer, which acts: killer." in told
    assert svg(run).count("<circle") == len(run.steps) + len(run.cycle)
    assert [text for text in (FOR_EVER, ">and again<", "Unfair: mm0") if text not in svg(run)] == []
    instance = instance_of("hocko-rfc-2018-09-10", "marked")
    assert from_json(to_json(run), instance, PROPERTIES) == run
    states = json.loads(to_itf(run, instance))
    first = states["loop"]
    assert first == len(run.start) + len(run.steps) + 1
    assert [each["#meta"]["action"] for each in states["states"][first:]] == [step.action for step in run.cycle]
    before, last = ({**states["states"][number], "#meta": None} for number in (first - 1, -1))
    assert before == last
    damaged = json.loads(to_json(run))
    with pytest.raises(SpecError, match="`unfair` holds no texts by name"):
        from_json(json.dumps({**damaged, "unfair": [1]}), instance, PROPERTIES)


def test_a_run_that_stops_says_so() -> None:
    run = attrs.evolve(race("hocko-rfc-2018-09-10", "marked", "L1"), ending=NOBODY_ACTS, cycle=())
    assert f"^^^ L1 breaks here\n=== {NOBODY_ACTS}\n\nL1: " in draw(run).replace("  ", "")
    assert NOBODY_ACTS in svg(run)


def test_an_actor_that_can_never_act_again_is_named() -> None:
    exploration = Exploration(instance_of("v4.12", "marked"))
    hit = Hit(0, next(iter(exploration.parents)), None, None)
    found = Race(exploration, find_properties("deadlock")[0], hit, ending="killer can never act again")
    text = draw(found.run)
    assert "^^^ deadlock breaks here\n=== killer can never act again\n" in text


def test_an_excused_run_is_not_called_a_violation() -> None:
    (subject,) = find_properties("N2r")
    found = look(instance_of("hocko-2017-07-24", "marked"), subject, excuse=True).race
    assert found is not None
    text = draw(found.run)
    assert "N2r needs its excuse at depth" in " ".join(text.split())
    assert "^^^ N2r needs its excuse here" in text
    assert "Excused here: the reaper's attempts all failed" in " ".join(text.split())
    assert "violated" not in text


def test_the_thread_that_the_last_line_does_not_name_is_named_below() -> None:
    assert draw(race("E12", "frozen", "L5")).endswith("stays frozen. Here: P1.t1.\n")
    assert "Here:" not in draw(race("v4.12", "marked", "N2r"))


def test_a_dying_thread_is_let_go_by_out_of_memory_itself() -> None:
    found = columns(draw(race("v4.14", "dying-threads", "S6t")))
    for cells in found.values():
        assert "oom_kill_process" not in [cell.strip() for cell in cells]
        assert any(cell.strip() == "return true # dying" for cell in cells)


def test_the_whole_run_starts_cold_and_marks_where_the_scenario_starts() -> None:
    run = race("v4.12", "marked", "N1s")
    text = draw(run, whole=True)
    before, mark, after = text.partition("=== here the scenario starts\n")
    assert mark
    assert "do_send_sig_info(SIGKILL)" in before
    assert after.count("oom_reap_task") >= 1
    assert "=== " not in draw(run)


def test_the_race_alone_leaves_out_what_no_other_thread_can_notice() -> None:
    run = race("v4.12", "marked", "N2r")
    text = draw(run, race_only=True)
    assert "tsk->oom_reaper_list = NULL" not in text
    for needed in ("mmput # last", "mmget_not_zero # fails", "set_bit(MMF_OOM_SKIP)", "^^^ N2r breaks here"):
        assert needed in text


def test_the_svg_is_self_contained_titled_and_the_same_each_time() -> None:
    run = race("v4.14", "foreign-user", "S1")
    text = svg(run)
    assert text == svg(run)
    root = ET.fromstring(text)  # noqa: S314 - our own output
    space = "{http://www.w3.org/2000/svg}"
    title = root.find(f"{space}title")
    assert title is not None
    assert title.text == "E5 (v4.14), scenario foreign-user: S1 is violated at depth 43"
    assert root.get("aria-labelledby") == "title desc"
    assert "href" not in text
    assert "url(" not in text
    shown = " ".join("".join(each.itertext()) for each in root.iter(f"{space}text"))
    for step in run.steps:
        assert step.call in shown
    assert shown.count("S1 breaks here") == 1
    assert len(list(root.iter(f"{space}circle"))) == len(run.steps)


@pytest.mark.parametrize(("era", "scenario", "name"), RACES)
def test_json_comes_back_as_the_same_run(era: str, scenario: str, name: str) -> None:
    run = race(era, scenario, name)
    text = to_json(run)
    assert json.loads(text)["schema"] == 1
    assert heading_of(text) == (run.era, scenario)
    assert from_json(text, instance_of(era, scenario), PROPERTIES) == run


def test_json_records_what_changed() -> None:
    run = race("v4.12", "marked", "N2r")
    last = json.loads(to_json(run))["steps"][-1]
    assert (last["actor"], last["column"], last["call"]) == ("reaper", "reaper", "set_bit(MMF_OOM_SKIP)")
    assert {"name": "mm0.oom_skip", "before": "false", "after": "true"} in last["changes"]


DOWN_READ = "task.exit_mm.down_read(P1.t0)"


def damaged(change: str) -> str:
    data = json.loads(to_json(race("v4.12", "marked", "N2r")))
    if change == "schema":
        data["schema"] = 2
    elif change == "era":
        data["era"] = "E5"
    elif change == "action":
        data["steps"][2]["action"] = "task.exit_mm.sleep(P1.t0)"
    elif change == "steps":
        del data["steps"]
    elif change == "depth":
        data["steps"] = data["steps"][:4]
    elif change == "order":
        data["steps"][0], data["steps"][1] = data["steps"][1], data["steps"][0]
    elif change == "no run":
        data = [1]
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"schema": 1,\n "era": "E4",\n "sce',
            "line 3: not valid JSON (Unterminated string starting at): the file is damaged or cut off; write it again",
        ),
        ("no run", "this JSON is no run: expected one object with `schema`, `era`, `scenario` and `steps`"),
        ("schema", "schema 2 is not known here: this version reads schema 1"),
        ("era", "this run belongs to era 'E5', not to 'E4': replay it there"),
        (
            "action",
            "steps: step 3 is 'task.exit_mm.sleep(P1.t0)', which is no action of era E4 in scenario marked",
        ),
        ("steps", "`steps` is missing or no list: this JSON is no run"),
        ("depth", "depth 13 does not fit a run of 4 steps: the file is damaged or cut off"),
        ("order", "the run does not replay: step 21 of the run, " + DOWN_READ + ", cannot be taken: not at DOWN_READ"),
    ],
)
def test_a_damaged_file_is_one_clear_line(text: str, message: str) -> None:
    given = text if text.startswith("{") else damaged(text)
    with pytest.raises(SpecError) as caught:
        from_json(given, instance_of("v4.12", "marked"), PROPERTIES)
    assert str(caught.value) == message


def test_itf_has_one_state_per_step_from_the_cold_start() -> None:
    run = race("v4.12", "marked", "N2r")
    data = json.loads(to_itf(run, instance_of("v4.12", "marked")))
    assert data["#meta"]["format"] == "ITF"
    assert len(data["states"]) == len(run.start) + len(run.steps) + 1
    assert all(set(state) == {"#meta", *data["vars"]} for state in data["states"])
    assert [state["#meta"]["index"] for state in data["states"]] == list(range(len(data["states"])))
    assert (data["states"][-2]["mm0.oom_skip"], data["states"][-1]["mm0.oom_skip"]) == (False, True)
    assert data["#meta"]["varTypes"]["mm0.oom_skip"] == "Bool"


def test_a_run_that_cannot_be_taken_is_refused() -> None:
    instance = instance_of("v4.12", "marked")
    last = next(action for action in instance.actions if action.step.call == "exit_notify")
    with pytest.raises(SpecError, match="cannot be taken"):
        run_of(instance, [last])

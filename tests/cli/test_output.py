"""What the commands print: one JSON object per line, well-formed files, tables without loose ends."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from oom_spec.scenarios import find_scenario

from .conftest import Run
from .running import Done, shell

MARKED = ("--scenario", "marked")
EXPLAIN = ("explain", "E4", "N1s", *MARKED)
CHECK = ("check", "E4", "all", *MARKED, "--z3-seconds", "0.3")
VERDICT = {
    "era",
    "aliases",
    "property",
    "scenario",
    "verdict",
    "method",
    "bound",
    "depth",
    "seconds",
    "checked_by",
    "excuses",
    "expected",
}
"""What every verdict object has at least."""


@pytest.fixture(autouse=True)
def one_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    """The matrix runs in one small scenario."""
    monkeypatch.setattr("oomspec.commands.matrix.SCENARIOS", (find_scenario("single"),))


def objects(done: Done) -> list[dict[str, Any]]:
    """The lines of standard output, each of which must be one JSON object."""
    found = [json.loads(line) for line in done.out.splitlines()]
    assert found
    assert all(isinstance(each, dict) for each in found)
    return found


# -- JSON ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("eras",),
        ("properties",),
        ("properties", "N1"),
        ("scenarios",),
        ("show", "E5", "mmu_notifier"),
        ("explore", "E4", *MARKED),
        EXPLAIN,
        ("explain", "E5", "N1s", *MARKED),
        ("explain", "E4", "N2q"),
        ("claims", "1", "--z3-seconds", "0", "--jobs", "1"),
    ],
    ids=" ".join,
)
def test_json_is_one_object_per_line_with_its_schema(oomspec: Run, arguments: tuple[str, ...]) -> None:
    done = oomspec(*arguments, "--json")
    assert (done.status, done.err) == (0, "")
    assert {each["schema"] for each in objects(done)} == {1}


def test_replay_as_json(oomspec: Run) -> None:
    done = oomspec("replay", "-", "--era", "E5", "--json", stdin=oomspec(*EXPLAIN).out.encode())
    (found,) = objects(done)
    assert (done.status, found["allowed"], found["stopped_at"]) == (1, False, 18)


def test_a_verdict_object_of_check_has_all_that_is_promised(oomspec: Run) -> None:
    found = objects(oomspec(*CHECK, "--json"))
    assert [each for each in found if VERDICT - set(each)] == []
    (needless,) = [each for each in found if each["property"] == "N1s"]
    assert (needless["verdict"], needless["depth"], needless["method"]) == ("violated", 20, "explore+bounded")
    assert (needless["scenario"], needless["aliases"][0]) == ("marked", "v4.9")


def test_a_verdict_about_progress_has_prefix_cycle_and_who_is_treated_how(oomspec: Run) -> None:
    (found,) = objects(oomspec("check", "E1", "L1", *MARKED, "--jobs", "1", "--json"))
    lasso = found["lasso"]
    assert (lasso["prefix"], len(lasso["cycle"])) == (found["run"], 4)
    assert (set(lasso["fair"]), set(lasso["unfair"])) == ({"reaper", "killer"}, {"P1.t0", "mm0"})
    (holds,) = objects(oomspec("check", "E4", "L1", *MARKED, "--jobs", "1", "--json"))
    assert holds["lasso"] is None


@pytest.mark.parametrize("form", ["text", "json", "itf"])
def test_a_run_without_end_is_read_back(oomspec: Run, form: str) -> None:
    drawn = oomspec("explain", "E1", "L1", *MARKED, "--as", form).out
    done = oomspec("replay", "-", "--era", "E1", stdin=drawn.encode())
    assert (done.status, "allows this run in marked: 6 steps, 6 named" in done.out) == (0, True)
    assert form == "text" or "=== and again" in done.out
    if form == "itf":
        wrong = json.dumps({**json.loads(drawn), "loop": 1})
        refused = oomspec("replay", "-", "--era", "E1", stdin=wrong.encode())
        assert (refused.status, "`loop` is 1, which is no state" in refused.err) == (2, True)


def test_check_draws_a_run_without_end_as_prefix_and_cycle(oomspec: Run) -> None:
    done = oomspec("check", "E1", "L1", *MARKED, "--jobs", "1")
    assert done.status == 1
    parts = ("L1 breaks here", "=== from here on for ever", "__alloc_pages_slowpath", "=== and again", "Unfair: P1.t0")
    places = [done.out.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)


def test_the_pytest_file_of_a_run_without_end_closes_the_cycle(oomspec: Run) -> None:
    text = oomspec("explain", "E1", "L1", *MARKED, "--as", "pytest").out
    found: dict[str, object] = {}
    exec(compile(text, "test_l1.py", "exec"), found)  # noqa: S102 - our own output
    test = found["test_run_is_allowed_and_violates_l1"]
    assert callable(test)
    test()
    cut = text.replace('        "killer.__alloc_pages_may_oom.mutex_unlock(oom_lock)(killer)",\n    ]', "    ]")
    exec(compile(cut, "test_l1.py", "exec"), found)  # noqa: S102 - our own output
    test = found["test_run_is_allowed_and_violates_l1"]
    assert callable(test)
    with pytest.raises(AssertionError):
        test()


def test_a_verdict_object_of_matrix_has_all_that_is_promised(oomspec: Run) -> None:
    found = objects(oomspec("matrix", "E4", "--property", "N1", "--jobs", "1", "--z3-seconds", "0.2", "--json"))
    assert [(each["era"], each["property"], VERDICT - set(each)) for each in found] == [
        ("E4", "N1s", set()),
        ("E4", "N1v", set()),
    ]


# -- explain's files -------------------------------------------------------------------------


def test_explain_as_json_and_itf_are_well_formed(oomspec: Run) -> None:
    run = json.loads(oomspec(*EXPLAIN, "--as", "json").out)
    trace = json.loads(oomspec(*EXPLAIN, "--as", "itf").out)
    assert (run["schema"], run["property"], run["depth"], len(run["steps"])) == (1, "N1s", 20, 20)
    assert (trace["#meta"]["format"], len(trace["states"])) == ("ITF", len(run["start"]) + 20 + 1)
    assert all(set(trace["vars"]) <= set(state) for state in trace["states"])


def test_explain_as_svg_is_well_formed(oomspec: Run) -> None:
    root = ET.fromstring(oomspec(*EXPLAIN, "--as", "svg").out)  # noqa: S314 - our own output
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "mmget_not_zero" in "".join(root.itertext())


def test_explains_pytest_file_passes_and_fails_without_its_last_step(oomspec: Run, tmp_path: Path) -> None:
    text = oomspec(*EXPLAIN, "--as", "pytest").out
    lines = text.splitlines(keepends=True)
    end = lines.index("]\n")
    assert lines[end - 1].startswith('    "killer.select_bad_process.oom_kill_process')
    (tmp_path / "test_whole.py").write_text(text, "utf-8")
    (tmp_path / "test_cut.py").write_text("".join(lines[: end - 1] + lines[end:]), "utf-8")
    done = shell("python -m pytest -q -p no:cacheprovider --rootdir=. .", tmp_path, PATH=_path_with_python(tmp_path))
    assert "1 failed, 1 passed" in done.out
    assert "FAILED test_cut.py::" in done.out


def _path_with_python(folder: Path) -> str:
    (folder / "bin").mkdir()
    (folder / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "utf-8")
    (folder / "bin" / "python").chmod(0o755)
    return f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"


# -- tables ----------------------------------------------------------------------------------


def test_matrix_writes_well_formed_junit(oomspec: Run, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    done = oomspec("matrix", "E4", "--property", "N1", "--jobs", "1", "--z3-seconds", "0", "--junit", str(report))
    suite = ET.parse(report).getroot()  # noqa: S314 - our own output
    assert (done.status, suite.tag, suite.get("tests"), suite.get("failures"), suite.get("errors")) == (
        0,
        "testsuite",
        "2",
        "0",
        "0",
    )
    assert [case.get("name") for case in suite] == ["N1s: violated", "N1v: proved-instance"]


def test_matrix_wide_says_each_verdict_in_words(oomspec: Run) -> None:
    done = oomspec("matrix", "E4", "E5", "--property", "N1s", "--jobs", "1", "--z3-seconds", "0", "--wide")
    first, second = done.out.splitlines()[:2]
    assert first.startswith("E4                           N1s          violated        single 40  [")
    assert second == "E5                           N1s          proved-instance"


@pytest.mark.parametrize(
    "arguments",
    [
        ("eras",),
        ("properties", "all"),
        ("scenarios",),
        ("show", "E5"),
        ("explore", "E5", *MARKED, "--untaken"),
        ("matrix", "E4", "E5", "--jobs", "1", "--z3-seconds", "0"),
        ("matrix", "E4", "E5", "--jobs", "1", "--z3-seconds", "0", "--wide"),
        (*CHECK, "-v"),
    ],
    ids=" ".join,
)
def test_no_line_ends_in_a_blank_or_has_a_colour_code(oomspec: Run, arguments: tuple[str, ...]) -> None:
    lines = oomspec(*arguments).out.splitlines()
    assert len(lines) > 1
    assert [line for line in lines if line != line.rstrip() or "\x1b" in line] == []


def test_the_columns_of_the_matrix_stand_under_their_titles(oomspec: Run) -> None:
    lines = oomspec("matrix", "E4", "E5", "--jobs", "1", "--z3-seconds", "0").out.splitlines()
    starts = [at for at, letter in enumerate(lines[0]) if letter != " " and lines[0][at - 1] == " "]
    for line in lines[1:3]:
        assert all(line[at] in "PbX+?0-" and line[at - 1] == " " for at in starts)


@pytest.mark.parametrize("form", ["eras", "properties", "scenarios", "show", "check", "matrix", "claims"])
def test_each_command_explains_itself(oomspec: Run, form: str) -> None:
    done = oomspec(form, "--help")
    assert (done.status, done.err, done.out.splitlines()[0].startswith(f"Usage: oomspec {form} [OPTIONS]")) == (
        0,
        "",
        True,
    )

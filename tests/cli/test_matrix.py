"""`oomspec matrix` and `oomspec check`: tables that fit the page, results from the cache, what was not finished."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from pathlib import Path

import attrs
import click
import pytest

from oom_spec.applicability import irrelevant
from oom_spec.eras import find_era
from oom_spec.language import MisuseError, make
from oom_spec.language.objects import Made
from oom_spec.language.scenarios import Scenario
from oom_spec.language.steps import World
from oom_spec.properties import PROPERTIES, find_properties
from oom_spec.protocol.state import Fault, Reaper
from oom_spec.scenarios import find_scenario
from oom_spec.verdicts import Cell, Verdict, Word
from oomspec.output import in_blocks
from oomspec.tables import compact_table, scenario_tables, symbol

from .conftest import Run
from .running import Started

QUICK = ("--jobs", "1", "--z3-seconds", "0", "--property", "N2r")
MARKED, EMPTY = find_scenario("marked"), find_scenario("empty-mm")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Each test has a cache of its own, and two small scenarios."""
    monkeypatch.setenv("OOMSPEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("oom_smt.cache.sources_changed", lambda: False)
    monkeypatch.setattr("oomspec.commands.matrix.SCENARIOS", (MARKED, EMPTY))
    monkeypatch.setattr("oomspec.commands.checking.SCENARIOS", (MARKED, EMPTY))
    return tmp_path / "cache"


def verdict(scenario: str, word: Word, depth: int | None = None) -> Verdict:
    return Verdict("E4", (), "N1s", scenario, word, "explore", depth=depth)


# -- tables ----------------------------------------------------------------------------------


def test_columns_are_dealt_out_by_family_and_fit() -> None:
    assert in_blocks([4] * 6, list("NNNSSL"), 40) == [[0, 1, 2, 3, 4, 5]]
    assert in_blocks([4] * 6, list("NNNSSL"), 30) == [[0, 1, 2, 3, 4], [5]]
    assert in_blocks([4] * 6, list("NNNNNN"), 17) == [[0, 1, 2], [3, 4, 5]]
    assert in_blocks([50, 50], list("NN"), 10) == [[0], [1]]


@pytest.mark.parametrize("width", ["80", "120", "400"])
def test_the_compact_table_fits_the_page_and_shows_every_cell_once(monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    monkeypatch.setenv("COLUMNS", width)
    era = find_era("E4")
    eras = [attrs.evolve(era, id=f"a-proposal-with-a-name-{n:02}", aliases=()) for n in range(32)]
    cells = {
        (each.id, p.id): Cell(each.id, (), p.id, [verdict("single", Word.VIOLATED, 43)])
        for each in eras
        for p in PROPERTIES
    }
    lines = [click.unstyle(line) for line in compact_table(eras, PROPERTIES, cells, dict.fromkeys(cells, ("",)))]
    assert max(map(len, lines)) <= int(width)
    assert sum(line.count("X43!") for line in lines) == len(cells)
    heads = [line for line in lines if line.startswith(" ")]
    assert [name for line in heads for name in line.split()] == [p.id for p in PROPERTIES]


def test_a_small_letter_says_that_it_depends_on_the_scenario() -> None:
    bad, good = verdict("marked", Word.VIOLATED, 20), verdict("single", Word.PROVED_INSTANCE)
    untouched = attrs.evolve(good, touched=False)
    assert symbol(Cell("E4", (), "N1s", [bad, good])) == "x20"
    assert symbol(Cell("E4", (), "N1s", [bad, untouched])) == "X20"


def test_scenarios_are_shown_each_in_its_column(oomspec: Run) -> None:
    done = oomspec("matrix", "E4", "E5", *QUICK, "--scenarios")
    assert done.out.splitlines()[:2] == [
        "                          empty-",
        "                   marked mm",
    ]
    assert done.out.splitlines()[2].startswith("E4 (v4.9 - v4.12)  X13    ")
    found = [json.loads(line) for line in oomspec("matrix", "E4", *QUICK, "--scenarios", "--json").out.splitlines()]
    assert found[0]["verdict"] == "violated"
    assert [each["scenario"] for each in found] == ["marked", "empty-mm"]


def test_what_says_nothing_is_a_point_and_what_is_not_run_is_blank() -> None:
    era = find_era("E4")
    (subject,) = find_properties("N1s")
    nothing = attrs.evolve(verdict("empty-mm", Word.PROVED_INSTANCE), touched=False)
    other = attrs.evolve(era, id="E5", aliases=())
    cells = {
        ("E4", "N1s"): Cell("E4", (), "N1s", [verdict("marked", Word.VIOLATED, 20), nothing]),
        ("E5", "N1s"): Cell("E5", (), "N1s", [attrs.evolve(nothing, era="E5")]),
    }
    lines = list(scenario_tables([era, other], [subject], [MARKED, EMPTY], cells))
    assert [click.unstyle(line) for line in lines[2:]] == [
        "E4 (v4.9 - v4.12)  X20    .",
        "E5                        .",
    ]


def test_slow_scenarios_are_run_on_request_and_shown_apart(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    object.__setattr__(slow := attrs.evolve(EMPTY), "slow", True)
    monkeypatch.setattr("oomspec.commands.matrix.SCENARIOS", (MARKED, slow))
    assert "slow" not in oomspec("matrix", "E4", *QUICK).out
    lines = oomspec("matrix", "E4", *QUICK, "--slow").out.splitlines()
    apart = lines.index("the slow scenarios:")
    assert lines[1].startswith("E4 (v4.9 - v4.12)  X13")
    assert lines[apart + 2].startswith("E4 (v4.9 - v4.12)  ")
    assert "X13" not in lines[apart + 2]


# -- what is run -----------------------------------------------------------------------------


def test_eras_may_be_named_either_way(oomspec: Run) -> None:
    named = [oomspec("matrix", *form, *QUICK).out.splitlines()[:3] for form in (("E4", "E5"), ("E4", "--era", "v4.14"))]
    assert named[0] == named[1]


def test_a_scenario_about_what_an_era_lacks_is_not_run_there(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    without = attrs.evolve(find_era("E4"), id="no-faults", aliases=())
    gone = tuple(step.id for step in without.steps if step.actor is Fault)
    without = attrs.evolve(without.without(gone), id="no-faults")
    about = attrs.evolve(EMPTY, about=(Reaper, Fault))
    assert irrelevant(find_era("E4"), about) == ""
    assert irrelevant(without, about) == "no step of no-faults acts for Fault"
    monkeypatch.setattr("oomspec.commands.matrix.irrelevant", lambda era, scenario: scenario is EMPTY)
    monkeypatch.setattr("oom_smt.matrix.irrelevant", lambda era, scenario: scenario is EMPTY)
    found = [json.loads(line) for line in oomspec("matrix", "E4", *QUICK, "--json").out.splitlines()]
    assert list(found[0]["by_scenario"]) == ["marked"]
    monkeypatch.setattr("oom_smt.matrix.irrelevant", lambda era, scenario: True)
    assert oomspec("matrix", "E4", *QUICK).out.splitlines()[1].startswith("E4 (v4.9 - v4.12)  0")


def test_the_world_takes_fixed_values_and_there_is_one() -> None:
    def with_world(*more: Made) -> Scenario:
        return attrs.evolve(MARKED, objects=(*MARKED.objects, *more))

    (name, _), *_ = World.statics.items()
    watched = with_world(make(World, "world", **{name: True}))
    assert watched.structure().objects == MARKED.structure().objects
    assert watched.structure().statics[f"World.{name}", "world"] is True
    assert attrs.evolve(watched, slow=True).structure().statics[f"World.{name}", "world"] is True
    with pytest.raises(MisuseError, match=r"^scenario marked: World\.halted is not fixed by a scenario: only fixed"):
        with_world(make(World, "world", halted="PANIC"))
    with pytest.raises(MisuseError, match=r"^scenario marked: there is one World, named 'world'; 'mars' is no other$"):
        with_world(make(World, "mars"))


# -- the cache -------------------------------------------------------------------------------


def test_a_second_run_is_the_same_and_from_the_cache(oomspec: Run) -> None:
    first, second = (oomspec("matrix", "E4", "E5", *QUICK) for _ in range(2))
    assert "0 of 4 results from the cache" in first.out
    assert "4 of 4 results from the cache" in second.out
    assert first.out.splitlines()[:3] == second.out.splitlines()[:3]
    assert (first.status, second.err) == (second.status, "")


def test_check_uses_the_cache_too(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("check", "E4", "N2r", "--method", "explore", "--jobs", "1", "-v")
    first = oomspec(*arguments)

    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("oom_smt.pool._Worker.__init__", refuse)
    assert oomspec(*arguments) == first
    monkeypatch.undo()


def test_without_the_cache_nothing_is_read_or_kept(oomspec: Run, own_cache: Path) -> None:
    done = oomspec("matrix", "E4", *QUICK, "--no-cache")
    assert ("cache" in done.out, own_cache.exists()) == (False, False)


def test_a_damaged_cache_is_one_line_on_standard_error(oomspec: Run, own_cache: Path) -> None:
    own_cache.mkdir(mode=0o700)
    path = own_cache / "results-1.sqlite"
    path.write_bytes(b"garbage" * 999)
    done = oomspec("matrix", "E4", *QUICK)
    assert done.err == (
        f"oomspec: cache {path}: file is not a database (remove the file to start afresh): going on without it\n"
    )
    assert done.out.splitlines()[1] == "E4 (v4.9 - v4.12)  x13"


# -- what was not finished -------------------------------------------------------------------


def test_what_the_time_did_not_allow_is_unknown_in_one_line(oomspec: Run) -> None:
    done = oomspec("matrix", "E4", *QUICK, "--property", "N1", "--timeout", "0")
    assert (done.status, done.out.splitlines()[1]) == (3, "E4 (v4.9 - v4.12)  ?!   ?!   ?!")
    assert "unknown: E4 in marked, empty-mm: time or states ran out" in done.out.splitlines()
    assert oomspec("check", "E4", "N2r", "--jobs", "1", "--timeout", "0").status == 3


def test_an_interrupted_run_is_continued(tmp_path: Path) -> None:
    arguments = ("matrix", "E4", "--property", "N2r", "--jobs", "1", "--z3-seconds", "0")
    started = Started(*arguments)
    started.workers()
    file = tmp_path / "cache" / "results-1.sqlite-wal"
    ends = time.monotonic() + 60
    while not (file.exists() and file.stat().st_size > 40_000) and time.monotonic() < ends:
        time.sleep(0.02)  # the tables and a first result
    started.interrupt()
    done = started.end()
    assert (done.status, done.err.splitlines()[-1]) == (3, "oomspec: interrupted: what was not decided is unknown")
    assert "unknown: E4 in " in done.out
    assert not started.has_orphans()
    connection = sqlite3.connect(file.with_suffix(".sqlite"))
    (kept,) = connection.execute("SELECT count(*) FROM results").fetchone()
    connection.close()
    assert kept > 0


def test_a_worker_that_dies_takes_one_task_with_it() -> None:
    started = Started("matrix", "E4", "--property", "N2r", "--jobs", "1", "--z3-seconds", "0")
    (worker,) = started.workers()
    time.sleep(0.2)
    os.kill(worker, signal.SIGKILL)
    while started.workers() in ([], [worker]):  # another one takes its place
        time.sleep(0.02)
    started.interrupt()
    done = started.end()
    lost = [line for line in done.out.splitlines() if line.startswith("lost: ")]
    assert (done.status, len(lost), lost[0].endswith(": its worker process died")) == (3, 1, True)
    assert not started.has_orphans()

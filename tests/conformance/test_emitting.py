"""An emitted test fails for the implementation that it was made for, and passes for one that conforms."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from oom_conformance.emitting import Violation, diagram, to_pytest
from oom_conformance.itself import Itself
from oom_conformance.lockstep import Divergence
from oom_conformance.oracle import Oracle
from oom_conformance.trying import try_schedules
from oom_spec.eras import find_era
from oom_spec.scenarios import find_scenario
from tests.conformance.wrong import Crashing, Later

ROOT = Path(__file__).parents[2]
RIGHT = "oom_conformance.itself:Itself"


@cache
def oracle_in(era: str, scenario: str) -> Oracle:
    return Oracle(find_era(era), find_scenario(scenario))


def found(wrong: type[Itself], scenario: str) -> Divergence:
    divergence = try_schedules(oracle_in("v4.15", scenario), wrong, seed=1, examples=500).divergence
    assert divergence is not None
    return divergence


def outcome(folder: Path, text: str) -> tuple[int, str]:
    """Status and output of pytest on an emitted file, in a process of its own."""
    (folder / "test_emitted.py").write_text(text, encoding="utf-8")
    paths = os.pathsep.join([str(ROOT), *(path for path in sys.path if path)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_emitted.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(("wrong", "scenario"), [(Later, "single"), (Crashing, "marked")])
def test_emitted_test_fails_while_the_fault_is_there(wrong: type[Itself], scenario: str, tmp_path: Path) -> None:
    divergence = found(wrong, scenario)
    oracle = oracle_in("v4.15", scenario)
    status, output = outcome(tmp_path, to_pytest(divergence, f"tests.conformance.wrong:{wrong.__name__}", oracle))
    assert status == 1, output
    assert divergence.kind.value in output
    status, output = outcome(tmp_path, to_pytest(divergence, RIGHT, oracle))
    assert status == 0, output
    assert "1 passed" in output


def test_emitted_race_passes_for_what_has_it_and_fails_without_its_last_step(tmp_path: Path) -> None:
    oracle = oracle_in("v4.12", "marked")
    schedule = try_schedules(oracle, Itself, seed=1, examples=500).broken["N2r"]
    status, output = outcome(tmp_path, to_pytest(Violation("E4", "marked", schedule, "N2r"), RIGHT))
    assert status == 0, output
    status, output = outcome(tmp_path, to_pytest(Violation("E4", "marked", schedule[:-1], "N2r"), RIGHT))
    assert status == 1, output


def test_strange_words_of_an_implementation_stay_words() -> None:
    divergence = found(Crashing, "marked")
    text = to_pytest(divergence, 'strange"""\\name')
    compile(text, "emitted", "exec")


def test_diagram_shows_the_race_and_what_it_breaks() -> None:
    oracle = oracle_in("v4.12", "marked")
    schedule = try_schedules(oracle, Itself, seed=1, examples=500).broken["N2r"]
    drawn = diagram(oracle, schedule, "N2r")
    assert drawn.startswith(f"E4 (v4.9 - v4.12), scenario marked: N2r is violated at depth {len(schedule)},")
    assert "N2r breaks here" not in diagram(oracle, schedule)

"""`oomspec lemmas`: a search that is recorded as it goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oom_spec.language import Era
from oom_spec.reporting import Progress
from oom_spec.scenarios import find_scenario
from oom_spec.unbounded.crowds import explored_worlds
from oom_spec.unbounded.recorded import read
from oom_spec.unbounded.small_worlds import SmallWorlds

from .conftest import Run

HEADER = "# nothing yet\n"


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two small worlds, and no lemmas that a person wrote."""
    few = [find_scenario(name) for name in ("single", "tlb")]

    def worlds(era: Era, progress: Progress) -> SmallWorlds:
        return explored_worlds(era, progress, few)

    monkeypatch.setattr("oom_smt.searching.crowded_worlds", worlds)
    monkeypatch.setattr("oom_smt.searching.written", lambda: ())


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A file that has no lemmas."""
    found = tmp_path / "lemmas.toml"
    found.write_text(HEADER)
    return found


def test_what_is_found_is_recorded_and_not_searched_for_again(oomspec: Run, record: Path) -> None:
    done = oomspec("lemmas", "v4.15", "S9", "--record", str(record))
    assert done.status == 0
    assert done.out.startswith("E6 S9          proved  with 1 lemma")
    (lemma,) = read(record.read_text(), "lemmas.toml")
    assert lemma.eras == ("E6",)
    assert any("stale_tlb" in text for text in lemma.clause.texts)
    assert oomspec("lemmas", "v4.15", "S9", "--record", str(record)).out.startswith("nothing to search for")
    again = oomspec("lemmas", "v4.15", "S9", "--record", str(record), "--again", "--json")
    (found,) = (json.loads(line) for line in again.out.splitlines())
    assert (found["verdict"], found["lemmas"]) == ("proved", [list(lemma.clause.texts)])


def test_what_is_not_found_says_why_and_loses_nothing(oomspec: Run, record: Path) -> None:
    oomspec("lemmas", "v4.15", "S9", "--record", str(record))
    before = record.read_text()
    done = oomspec("lemmas", "v4.15", "S1", "--seconds", "0.01", "--record", str(record))
    assert done.status == 3
    assert "E6 S1          unknown" in done.out
    assert "out of time" in done.out
    assert record.read_text() == before
    assert list(record.parent.iterdir()) == [record]


def test_without_a_file_the_lemmas_are_printed(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oomspec.commands.searching.load", tuple)
    done = oomspec("lemmas", "v4.15", "S9")
    assert done.out.count("[[lemma]]") == 1
    assert 'eras = ["E6"]' in done.out


def test_what_is_violated_in_a_scenario_is_left_alone(oomspec: Run, record: Path) -> None:
    done = oomspec("lemmas", "v4.15", "S6m", "--record", str(record))
    assert (done.status, record.read_text()) == (0, HEADER)
    assert done.out.startswith("nothing to search for: what holds in every scenario")


def test_a_damaged_file_is_told(oomspec: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[[lemma]]\nname = 3\n")
    done = oomspec("lemmas", "v4.15", "S9", "--record", str(broken))
    assert done.status == 2
    assert f"{broken}: lemma 1 needs" in done.err


def test_a_question_about_the_graph_has_no_lemmas(oomspec: Run) -> None:
    done = oomspec("lemmas", "v4.15", "L1")
    assert done.status == 2
    assert "L1 is a question about the whole graph" in done.err

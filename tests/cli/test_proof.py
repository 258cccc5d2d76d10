"""`oomspec proof`: unbounded proofs as a document."""

from __future__ import annotations

import json
import tomllib

import pytest

from oom_spec.language import Era
from oom_spec.reporting import Progress
from oom_spec.scenarios import find_scenario
from oom_spec.unbounded.clauses import read_clause
from oom_spec.unbounded.crowds import explored_worlds
from oom_spec.unbounded.recorded import written
from oom_spec.unbounded.small_worlds import SmallWorlds

from .conftest import Run

BY_HAND = written()[:2]


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lemmas that are written by hand, and two small worlds."""
    few = [find_scenario(name) for name in ("single", "tlb")]

    def worlds(era: Era, progress: Progress) -> SmallWorlds:
        return explored_worlds(era, progress, few)

    monkeypatch.setattr("oom_smt.proving.recorded_for", lambda era, known, lemmas=None: list(BY_HAND))
    monkeypatch.setattr("oom_smt.searching.written", lambda: ())
    monkeypatch.setattr("oomspec.commands.proving.explored_worlds", worlds)
    monkeypatch.setattr("oom_smt.searching.crowded_worlds", worlds)
    monkeypatch.setattr("oomspec.commands.proving.recorded_for", lambda era, known, lemmas=None: [])


def test_a_proof_says_what_is_proved_and_on_what_it_rests(oomspec: Run) -> None:
    done = oomspec("proof", "v4.15", "S5r", "--no-vacuity")
    assert done.status == 0
    assert done.out.startswith("E6 S5r         proved\n    In every run of every length")
    assert "The reaper thread never executes __mmput." in done.out
    assert done.out.rstrip().endswith("which rest on: the steps alone")


def test_a_proof_says_where_it_is_put_to_the_test_and_what_would_violate_it(oomspec: Run) -> None:
    done = oomspec("proof", "v4.15", "S5r")
    assert done.status == 0
    assert "put to the test at" in done.out
    assert "event told otherwise MMPUT_BEGINS 1 REAPER" in " ".join(done.out.split())


def test_what_is_true_of_every_state_is_vacuous(oomspec: Run) -> None:
    done = oomspec("proof", "v4.15", "N3")
    assert done.out == "E6 N3          vacuous  (its formula is true of every state)\n"
    assert done.status == 1


def test_what_is_not_shown_is_unknown_and_the_step_is_drawn(oomspec: Run) -> None:
    done = oomspec("proof", "v4.15", "S1")
    assert done.status == 3
    assert "E6 S1          unknown" in done.out
    assert "not shown: broken by mm.exit_mmap.free_pgtables" in done.out
    assert "before" in done.out
    assert "* " in done.out
    assert "No small world reaches a state like the one before the step" in done.out


def test_what_is_in_the_way_is_in_the_json_too(oomspec: Run) -> None:
    """Whatever is drawn has fields, each before and after."""
    (found,) = (json.loads(line) for line in oomspec("proof", "v4.15", "N1s", "--json").out.splitlines())
    assert found["verdict"] == "unknown"
    assert found["obstacle"]["step"]
    assert {"field", "before", "after", "changed"} == set(found["obstacle"]["fields"][0])


def test_lemmas_are_searched_for_and_given_as_they_are_recorded(oomspec: Run) -> None:
    done = oomspec("proof", "v4.15", "S9", "--suggest", "--seconds", "30")
    assert done.status == 3  # nothing is recorded by itself
    assert "with them S9 is proved" in done.out
    text = done.out[done.out.index("[[lemma]]") : done.out.index("# found in")]
    clauses = [read_clause(each["never"]) for each in tomllib.loads(text)["lemma"]]
    assert any("stale_tlb" in str(each) for each in clauses)


def test_a_search_that_finds_nothing_says_why(oomspec: Run) -> None:
    done = oomspec("proof", "v4.15", "S1", "--suggest", "--seconds", "0.01")
    assert "no lemmas were found that prove it: out of time" in done.out


def test_verbose_lists_lemmas_and_what_each_obligation_needs(oomspec: Run) -> None:
    done = oomspec("proof", "v4.15", "S10", "-v", "--no-vacuity")
    text = " ".join(done.out.split())
    assert "2 lemmas hold" in text
    assert "nothing-without-vmas: An mm without any VMA has nothing to unmap" in text
    assert "no lemma (" in text


def test_json_has_the_verdict_and_what_is_missing(oomspec: Run) -> None:
    done = oomspec("proof", "v4.15", "S10", "N2x", "S5m", "--json")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [(each["property"], each["verdict"]) for each in found] == [
        ("S10", "proved"),
        ("N2x", "unknown"),
        ("S5m", "not-applicable"),
    ]
    assert found[0]["rests_on"] == {"S10": []}
    assert found[0]["vacuity"] == ""
    assert found[1]["not_shown"] == ["broken by mm.exit_mmap.set_bit(MMF_OOM_SKIP)"]
    assert done.status == 3


def test_a_question_about_the_graph_is_not_for_induction(oomspec: Run) -> None:
    done = oomspec("proof", "v4.15", "L1")
    assert done.status == 2
    assert "L1 is a question about the whole graph" in done.err

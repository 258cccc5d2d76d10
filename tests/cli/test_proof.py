"""`oomspec proof`: unbounded proofs as a document."""

from __future__ import annotations

import json

import pytest

from oom_smt.induction import Prover
from oom_smt.proving import Invariant
from oom_spec.eras import find_era
from oom_spec.unbounded.grounding import absent_classes
from oom_spec.unbounded.lemmas import LEMMAS

from .conftest import Run

E6 = find_era("v4.15")


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No lemmas but the recorded ones: `tests/smt` guesses some."""

    def find_invariant(era: object, scenarios: object, progress: object) -> Invariant:
        prover = Prover(absent_classes(E6))
        lemmas, refuted = prover.inductive(E6, {lemma.statement: lemma.formula for lemma in LEMMAS})
        return Invariant(E6, prover, lemmas, refuted, 0.0, {lemma.statement: lemma.reason for lemma in LEMMAS})

    monkeypatch.setattr("oomspec.commands.proving.find_invariant", find_invariant)


def test_a_proof_says_what_is_proved_and_on_what_it_rests(oomspec: Run) -> None:
    done = oomspec("proof", "v4.15", "S5r")
    assert done.status == 0
    assert done.out.startswith("E6 S5r         proved\n    In every run of every length")
    assert "The reaper thread never executes __mmput." in done.out
    assert done.out.rstrip().endswith("which rest on: the steps alone")


def test_what_is_not_shown_is_unknown_and_names_the_step(oomspec: Run) -> None:
    done = oomspec("proof", "v4.15", "S5r", "S1")
    assert done.status == 3
    assert "E6 S1          unknown" in done.out
    assert "not shown: broken by mm.exit_mmap.free_pgtables" in done.out


def test_an_excuse_is_said(oomspec: Run) -> None:
    done = oomspec("proof", "v4.15", "N3")
    assert done.out.startswith("E6 N3          proved  only by excuse")
    assert "Or one of the excuses of N3 holds." in " ".join(done.out.split())


def test_verbose_lists_lemmas_with_their_reasons(oomspec: Run) -> None:
    done = oomspec("proof", "v4.15", "S10", "-v")
    text = " ".join(done.out.split())
    assert "1 lemmas hold" in text
    assert f"{LEMMAS[0].statement} ({LEMMAS[0].reason})" in text
    assert "0 candidates do not" in text


def test_json_has_the_verdict_and_what_is_missing(oomspec: Run) -> None:
    done = oomspec("proof", "v4.15", "S10", "N2x", "S5m", "--json")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [(each["property"], each["verdict"]) for each in found] == [
        ("S10", "proved"),
        ("N2x", "unknown"),
        ("S5m", "not-applicable"),
    ]
    assert found[0]["rests_on"] == {"S10": []}
    assert found[1]["not_shown"] == ["broken by mm.exit_mmap.set_bit(MMF_OOM_SKIP)"]
    assert done.status == 3


def test_a_question_about_the_graph_is_not_for_induction(oomspec: Run) -> None:
    done = oomspec("proof", "v4.15", "L1")
    assert done.status == 2
    assert "whole graph" in done.err

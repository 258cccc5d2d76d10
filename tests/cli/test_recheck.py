"""`oomspec recheck`: who agreed, who did not answer, and what happens where somebody disagrees."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from oom_smt.finite import Question
from oom_smt.recheck import Reply
from oom_smt.reducing import NoFiniteForm
from oom_smt.z3_api import Answer, version
from oom_spec.eras import find_era
from oom_spec.language.terms import Term

from .conftest import Run

E6 = find_era("v4.15")
STEPS = 4
"""Obligations of S5r in E6."""


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No lemmas but the one that is written by hand."""
    monkeypatch.setattr("oom_smt.proving.recorded_for", lambda era, known, lemmas=None: [])


Replies = dict[str, Reply]


@pytest.fixture
def replies(monkeypatch: pytest.MonkeyPatch) -> Replies:
    """What each solver says, without any being asked; whoever reads this may change it."""
    found = {name: Reply(Answer.UNSAT, f"{name} 1.0") for name in ("cvc5", "bitwuzla", "drup")}

    def ask(question: Question, name: str, seconds: float, header: dict[str, str]) -> Reply:
        return found[name]

    monkeypatch.setattr("oom_smt.recheck.ask", ask)
    return found


def lines(out: str) -> Sequence[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def test_all_agree(oomspec: Run, replies: Replies) -> None:
    done = oomspec("recheck", "v4.15", "S5r")
    assert done.status == 0
    everybody = f"{version()}, cvc5 1.0, bitwuzla 1.0, drup 1.0"
    assert done.out.splitlines() == [
        "E6 S5r         proved",
        f"    S5r: 4 obligations: {everybody}",
        f"    All 4 obligations checked by {everybody}.",
    ]


def test_each_obligation_is_shown_where_asked_for(oomspec: Run, replies: Replies) -> None:
    done = oomspec("recheck", "v4.15", "S5r", "-v", "--with", "cvc5", "--with", "cvc5")
    assert done.status == 0
    assert f"        task.exit_mm.mmput[last]: {version()}, cvc5 1.0" in done.out.splitlines()


def test_who_does_not_answer_has_not_agreed(oomspec: Run, replies: Replies) -> None:
    replies["cvc5"] = Reply(None, "cvc5 1.0", "no answer in 20 s")
    done = oomspec("recheck", "v4.15", "S5r", "-v")
    assert done.status == 3
    assert "    not rechecked by cvc5: 4 of 4 obligations: no answer in 20 s" in done.out.splitlines()
    assert f"All 4 obligations checked by {version()}, bitwuzla 1.0, drup 1.0." in done.out
    assert "drup 1.0, not cvc5: no answer in 20 s" in " ".join(done.out.split())


def test_a_disagreement_is_an_internal_error(oomspec: Run, replies: Replies) -> None:
    replies["bitwuzla"] = Reply(Answer.SAT, "bitwuzla 1.0")
    done = oomspec("recheck", "v4.15", "S5r")
    assert done.status == 4
    assert done.out == ""
    assert done.err.startswith(
        "oomspec: internal error: bitwuzla 1.0 answers sat where z3 answers unsat: name E6-S5r-0001, era E6, goal S5r, "
        "step task.exit_mm.mmput[last]"
    )


def test_z3_is_asked_again_about_what_the_others_get(
    oomspec: Run, replies: Replies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oomspec.commands.rechecking.z3_answers", lambda assertions, seconds: Answer.UNKNOWN)
    done = oomspec("recheck", "v4.15", "S5r")
    assert done.status == 3
    assert "not rechecked by z3: 4 of 4 obligations: no answer in 20 s" in done.out
    monkeypatch.setattr("oomspec.commands.rechecking.z3_answers", lambda assertions, seconds: Answer.SAT)
    done = oomspec("recheck", "v4.15", "S5r")
    assert done.status == 4
    assert "internal error: z3 does not confirm E6-S5r-0001 (S5r, task.exit_mm.mmput[last])" in done.err


def test_json_has_each_obligation_and_the_whole(oomspec: Run, replies: Replies) -> None:
    replies["drup"] = Reply(None, reason="python-sat is not installed: `pip install python-sat`")
    done = oomspec("recheck", "v4.15", "S5r", "S1", "S5m", "--json")
    found = lines(done.out)
    assert [each.get("step") for each in found[:2]] == ["task.exit_mm.mmput[last]", "task.exec_mmap.mmput[last]"]
    assert found[0]["checked_by"] == [version(), "cvc5 1.0", "bitwuzla 1.0"]
    whole = found[STEPS]
    assert (whole["property"], whole["verdict"], whole["obligations"]) == ("S5r", "proved", STEPS)
    assert whole["checked_by"] == found[0]["checked_by"]
    assert whole["not_rechecked"] == {
        "drup": "4 of 4 obligations: python-sat is not installed: `pip install python-sat`"
    }
    assert [(each["property"], each["verdict"]) for each in found[STEPS + 1 :]] == [
        ("S1", "unknown"),
        ("S5m", "not-applicable"),
    ]
    assert done.status == 3


def test_what_is_not_proved_has_nothing_to_recheck(oomspec: Run, replies: Replies) -> None:
    done = oomspec("recheck", "v4.15", "S1")
    assert done.status == 3
    assert "nothing to recheck: `oomspec proof E6 S1` says what is missing" in done.out
    assert oomspec("recheck", "v4.15", "S5m").status == 0


def test_obligations_are_written_the_same_each_time(oomspec: Run, replies: Replies, tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    assert oomspec("recheck", "v4.15", "S5r", "--write", str(first)).status == 0
    oomspec("recheck", "v4.15", "S5r", "--write", str(second))
    names = sorted(file.name for file in first.iterdir())
    assert names == [f"E6-S5r-000{number}.smt2" for number in range(1, STEPS + 1)]
    assert [(first / name).read_bytes() for name in names] == [(second / name).read_bytes() for name in names]
    text = (first / names[0]).read_text("utf-8")
    assert text.splitlines()[:7] == [
        "; oomspec obligation, schema 1",
        "; name: E6-S5r-0001",
        "; era: E6",
        "; goal: S5r",
        "; step: task.exit_mm.mmput[last]",
        "; expected: unsat",
        "(set-logic QF_BV)",
    ]


def test_what_has_no_finite_form_is_not_written_and_nobody_has_agreed(
    oomspec: Run, replies: Replies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finite(assertions: Sequence[Term]) -> Question:
        raise NoFiniteForm(assertions[0], "just so")

    monkeypatch.setattr("oomspec.commands.rechecking.finite", finite)
    monkeypatch.setattr("oom_smt.recheck.finite", finite)
    done = oomspec("recheck", "v4.15", "S10", "--write", str(tmp_path), "--with", "cvc5")
    assert done.status == 3
    assert done.err.startswith("oomspec: E6-S10-0001.smt2 is not written: ")
    assert "not rechecked by cvc5: 1 of 1 obligations: " in done.out
    assert list(tmp_path.iterdir()) == []


def test_a_question_about_the_graph_has_no_obligations(oomspec: Run) -> None:
    done = oomspec("recheck", "v4.15", "L1")
    assert (done.status, done.err) == (
        2,
        "oomspec: L1 is a question about the whole graph: it has no proof by induction to recheck\n",
    )

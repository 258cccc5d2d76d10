"""Verdicts: what is said when engines agree, disagree, give up, or see nothing happen."""

from __future__ import annotations

import time

import attrs
import pytest

from oom_smt import deciding
from oom_smt.claims import decide_part
from oom_smt.deciding import Decision, InternalError, Options, decide
from oom_smt.matrix import Matrix
from oom_spec.applicability import why_not
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration
from oom_spec.instances import Action
from oom_spec.language import Property
from oom_spec.manifest import differences, expected_cell, load
from oom_spec.properties import PROPERTIES, find_properties
from oom_spec.properties.claims import CLAIMS
from oom_spec.scenarios import SCENARIOS, find_scenario
from oom_spec.verdicts import Cell, Verdict, Word

QUICK = Options(z3_seconds=2.0)
MARKED = find_scenario("marked")


def _one(era: str, name: str, scenario: str = "marked", options: Options = QUICK) -> Verdict:
    (verdict,) = decide(find_era(era), find_scenario(scenario), find_properties(name), options)
    return verdict


def test_a_race_is_violated_at_its_depth_and_says_who_checked_it() -> None:
    verdict = _one("v4.12", "N1s", options=Options(z3_seconds=60.0))
    assert (verdict.word, verdict.depth, verdict.strict) == (Word.VIOLATED, 20, Word.VIOLATED)
    assert len(verdict.run) == 20
    assert "plain replay" in verdict.checked_by
    assert any(text.endswith("none within 19") for text in verdict.checked_by)
    assert any(text.endswith("finds one at 20") for text in verdict.checked_by)


def test_what_holds_by_an_excuse_says_which_and_shows_a_run_that_uses_it() -> None:
    verdict = _one("hocko-2017-07-24", "N2r")
    assert (verdict.word, verdict.strict) == (Word.PROVED_INSTANCE, Word.VIOLATED)
    assert dict(verdict.excuses) == {"TEN_FAILED": verdict.strict_depth}
    assert len(verdict.excuse_runs["TEN_FAILED"]) == verdict.strict_depth


def test_a_bounded_result_is_never_called_proved() -> None:
    verdict = _one("v4.12", "N1s", options=Options(explore=False, bound=8))
    assert (verdict.word, verdict.text) == (Word.BOUNDED, "bounded 8")


def test_z3_alone_finds_the_race_too() -> None:
    verdict = _one("v4.12", "N2r", options=Options(explore=False, bound=20))
    assert (verdict.word, verdict.depth, verdict.method) == (Word.VIOLATED, 13, "bounded")


def test_no_time_is_unknown() -> None:
    verdict = _one("v4.14", "N1s", options=Options(deadline=time.monotonic(), z3_seconds=0.0))
    assert verdict.word is Word.UNKNOWN
    assert verdict.word.exit_status == 3


def test_a_truncated_exploration_proves_nothing() -> None:
    verdict = _one("v4.14", "S1", options=Options(most_states=50, bounded=False))
    assert verdict.word is Word.UNKNOWN


def test_a_truncated_exploration_says_nothing_of_deadlock() -> None:
    verdict = _one("v4.14", "deadlock", options=Options(most_states=50, bounded=False))
    assert (verdict.word, verdict.reason) == (Word.UNKNOWN, "needs the whole graph of reachable states")


def test_what_the_era_lacks_is_not_applicable_with_the_reason() -> None:
    verdict = _one("v4.12", "N2q")
    assert (verdict.word, verdict.reason) == (Word.NOT_APPLICABLE, "exit_mmap never takes mmap_sem")
    assert why_not(find_era("v4.14"), find_properties("N2q")[0]) == ""


def test_a_property_of_something_that_never_happens_is_vacuous() -> None:
    verdict = _one("v4.12", "S4", "single")
    assert not verdict.touched
    cell = Cell("E4", (), "S4", [verdict])
    assert (cell.word, cell.word.exit_status) == (Word.VACUOUS, 1)


def test_a_model_that_does_not_replay_is_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def shuffled(self: Exploration, hit: object) -> list[Action]:
        return original(self, hit)[::-1]  # type: ignore[arg-type]  # the signature is the original's

    original = Exploration.run_to
    monkeypatch.setattr(Exploration, "run_to", shuffled)
    with pytest.raises(Exception, match=r"^internal error: step 1 of the run"):
        _one("v4.12", "N1s")


def test_z3_and_the_explorer_disagreeing_is_an_internal_error() -> None:
    (subject,) = find_properties("N2r")
    decision = Decision(find_era("v4.12"), MARKED, [subject], QUICK)
    decision.ask_z3()
    finding = decision.exploration.findings["N2r"]
    assert finding.violated is not None
    finding.violated = attrs.evolve(finding.violated, depth=finding.violated.depth + 1)
    with pytest.raises(InternalError, match="z3 violates N2r at 13"):
        decision.verdicts()


def test_an_explorer_that_misses_a_race_is_caught_by_z3() -> None:
    (subject,) = find_properties("N2r")
    decision = Decision(find_era("v4.12"), MARKED, [subject], QUICK)
    decision.exploration.findings["N2r"].violated = None
    decision.ask_z3()
    with pytest.raises(InternalError, match="and the explorer does not"):
        decision.verdicts()


def test_a_run_that_violates_nothing_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding.Decision, "_breaks", lambda *_, **__: False)
    with pytest.raises(InternalError, match="violates nothing"):
        _one("v4.12", "N2r")


def test_the_matrix_agrees_with_the_manifest_and_notices_a_difference() -> None:
    table = Matrix([find_era("v4.12")], find_properties("N2"), [MARKED], jobs=1, z3_seconds=1.0)
    table.run()
    cells = table.cells()
    (key,) = [key for key in cells if key[1] == "N2r"]
    expected = expected_cell(*key)
    assert expected is not None
    assert differences(cells[key], expected) == []
    wrong = attrs.evolve(expected, violated_in={**expected.violated_in, "marked": 14})
    assert differences(cells[key], wrong) == ["marked: violated at 13, expected violated at 14"]
    assert differences(cells[key], None) == ["the manifest has no entry"]


def test_the_manifest_knows_every_cell_every_claim_and_who_knew_of_each_violation() -> None:
    from oom_spec.eras import all_eras

    cells, claims = load()
    assert set(cells) == {(era.id, subject.id) for era in all_eras() for subject in PROPERTIES}
    assert set(claims) == {part.id for claim in CLAIMS for part in claim.parts}
    assert [key for key, entry in cells.items() if entry.violated_in and not entry.known] == []


@pytest.mark.parametrize("part", [part.id for claim in CLAIMS for part in claim.parts])
def test_each_part_of_each_claim_comes_out_as_recorded(part: str) -> None:
    assert decide_part(part, z3_seconds=0.0).text == load()[1][part]


def test_a_health_property_is_checked_in_every_scenario() -> None:
    health: list[Property] = [p for p in PROPERTIES if p.id in ("count-range", "S6t")]
    for scenario in SCENARIOS:
        if scenario.id in ("single", "empty-mm", "init-shares"):
            verdicts = decide(find_era("v4.14"), scenario, health, Options(bounded=False))
            assert [v.word for v in verdicts] == [Word.PROVED_INSTANCE] * 2

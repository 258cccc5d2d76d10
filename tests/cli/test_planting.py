"""`oomspec planted` and `oomspec slips`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from oom_conformance import mutants, planted
from oomspec.commands import planting

from .running import Done

Run = Callable[..., Done]


def test_a_planted_race_is_listed_with_what_was_named(oomspec: Run) -> None:
    done = oomspec("planted", "--era", "v4.17", "--property", "S2", "--json")
    assert done.status == 0
    (found,) = map(json.loads, done.out.splitlines())
    assert {key: found[key] for key in ("era", "has_code_of", "scenario", "properties", "caught", "missing")} == {
        "era": "E7",
        "has_code_of": "E6b",
        "scenario": "voluntary-memory-kinds",
        "properties": ["S2"],
        "caught": True,
        "missing": [],
    }
    assert "E6b" in found["taken_for"]
    assert "S2" in found["named"]


def test_the_era_that_is_asked_for_is_the_one_that_is_claimed_not_the_one_whose_code_it_has(oomspec: Run) -> None:
    done = oomspec("planted", "--help")
    assert done.status == 0
    assert "--era names the era that is claimed, whose own code is replaced" in " ".join(done.out.split())


def test_no_race_that_fits_is_a_mistake(oomspec: Run) -> None:
    done = oomspec("planted", "--property", "S99")
    assert done.status == 2
    assert done.err == "oomspec: no race fits: `oomspec matrix` shows which eras violate which properties\n"


def test_a_race_that_is_not_named_fails(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted, "check", lambda plant: planted.Caught(plant, None, 0.0))
    done = oomspec("planted", "--era", "v4.17", "--property", "S2")
    assert done.status == 1
    assert done.out == (
        "X E7 as E6b in voluntary-memory-kinds: S2\n    not caught\n0 of 1 implementation caught and named, 1 race\n"
    )


def test_slips_of_a_function_that_is_not_there_are_a_mistake(oomspec: Run) -> None:
    done = oomspec("slips", "--function", "do_nothing")
    assert done.status == 2
    assert done.err == "oomspec: no function of the reference implementation contains 'do_nothing'\n"


def test_a_survivor_without_a_reason_fails(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planting, "_suites", [mutants.Suite([("E4", "stuck")])])
    monkeypatch.setattr(mutants, "reasons", dict)
    done = oomspec("slips", "--function", "mrelease.may_reap")
    assert done.status == 1
    assert "survives, and nobody has said why" in done.out
    assert ": 0 noticed, 0 survive for a reason, " in done.out


def test_noticed_slips_are_listed_as_json(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planting, "_suites", [mutants.Suite([("E4", "stuck")])])
    monkeypatch.setattr(mutants, "reasons", dict)
    found = [
        json.loads(line) for line in oomspec("slips", "--function", "oom_reaper.trylock", "--json").out.splitlines()
    ]
    assert {each["schema"] for each in found} == {1}
    assert any(each["noticed_by"] for each in found)

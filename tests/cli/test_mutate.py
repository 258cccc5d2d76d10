"""`oomspec mutate`: what it reports, and how it exits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from oom_smt import mutants
from oom_spec import survivors
from oom_spec.survivors import Reason

from .running import Done

Run = Callable[..., Done]

STEP = "munlock_vma_pages_all[done]"
SURVIVOR = f"mm.exit_mmap.{STEP} | assignment dropped Mm.munlocking"
SMALL = ("mutate", "v4.12", "--step", STEP, "--scenario", "init-shares")


@pytest.fixture(autouse=True)
def _kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOMSPEC_CACHE", str(tmp_path))
    monkeypatch.setattr(mutants, "faults_of", lambda *_, **__: [])  # the lint has tests of its own


def record(monkeypatch: pytest.MonkeyPatch, *reasons: Reason) -> None:
    """These are the recorded reasons."""
    monkeypatch.setattr(survivors, "reasons", lambda: reasons)


def test_survivors_without_a_reason_exit_with_1_and_with_one_0(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    record(monkeypatch)
    done = oomspec(*SMALL)
    assert done.status == 1
    assert f"    {SURVIVOR}  (no scenario takes the step)\n        no reason recorded\n" in done.out
    record(monkeypatch, Reason((f"mm.exit_mmap.{STEP} | *", "* | exchanged with *"), "no page is mlocked here"))
    done = oomspec(*SMALL)
    assert done.status == 0
    assert f"    {SURVIVOR}  (no scenario takes the step)\n        no page is mlocked here\n" in done.out


def test_json_is_one_object_per_mutant(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    record(monkeypatch, Reason((SURVIVOR,), "no page is mlocked here"))
    found = [json.loads(line) for line in oomspec(*SMALL, "--json").out.splitlines()]
    assert len(found) > 1
    assert all(
        {"schema", "era", "mutation", "fate", "killer", "scenario", "how", "reason"} <= each.keys() for each in found
    )
    (survivor,) = (each for each in found if each["mutation"] == SURVIVOR)
    assert (survivor["fate"], survivor["reason"]) == ("survived", "no page is mlocked here")


def test_out_of_time_exits_with_3(oomspec: Run) -> None:
    done = oomspec(*SMALL, "--timeout", "0")
    assert done.status == 3
    assert "not finished" in done.out


def test_killed_mutants_are_counted_by_property_and_listed_with_v(oomspec: Run) -> None:
    done = oomspec("mutate", "E4", "--step", "oom_kill_process.task_unlock", "--scenario", "init-shares", "-v")
    assert (
        "killer.oom_kill_process.task_unlock | release dropped Killer.holds_task_lock\n        S10 in init-shares: "
        in (done.out)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("E4", "--scenario", "marked"), "scenario marked starts in mid-protocol: name the one that it is a part of"),
        (("E4", "--step", "no-such-step"), "E4: nothing to mutate, no step of it that contains 'no-such-step'"),
        (("E44",), "unknown era 'E44'; did you mean 'E4'? `oomspec eras` lists them all"),
    ],
)
def test_bad_usage_is_one_line(oomspec: Run, arguments: tuple[str, ...], message: str) -> None:
    done = oomspec("mutate", *arguments)
    assert (done.status, done.out, done.err) == (2, "", f"oomspec: {message}\n")

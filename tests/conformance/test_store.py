"""The store of campaigns: whole or not at all, never twice, the shortest kept, clear words for a file of no use."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import attrs
import pytest

from oom_conformance import store as module
from oom_conformance.reaching import Reach
from oom_conformance.shards import Done
from oom_conformance.store import Found, Store, open_store
from oom_spec.language import SpecError

DONE = Done(
    "E4", "single", 0, 7, runs=10, steps=100, seconds=0.5, taken={"a": 3, "b": 1}, pairs=frozenset({("a", "b")})
)
RACE = Found("race", "N1s", "E4", "single", 0, 7, ("x", "y", "z"), {"expected": "violated at 3"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def refused(path: Path) -> str:
    with pytest.raises(SpecError) as told:
        open_store(path)
    return str(told.value)


def test_a_shard_is_counted_once_with_all_that_came_of_it(path: Path) -> None:
    with open_store(path) as store:
        store.begin("c", {})
        assert store.record("c", DONE, [RACE], elapsed=2.0)
        assert not store.record("c", DONE, [RACE], elapsed=9.0)
        assert store.recorded("c") == {("E4", "single", 0)}
        cell = store.cells("c")["E4", "single"]
        assert (cell.shards, cell.runs, cell.steps, dict(cell.taken)) == (1, 10, 100, {"a": 3, "b": 1})
        assert [each.times for each in store.findings("c")] == [1]
        assert store.elapsed("c") == 2.0


def test_coverage_is_added_up_over_shards_and_survives_closing(path: Path) -> None:
    other = attrs.evolve(DONE, number=1, taken={"b": 2, "c": 5}, pairs=frozenset({("b", "c")}), worker="w")
    with open_store(path) as store:
        store.record("c", DONE)
        store.record("c", other)
        store.record("another", attrs.evolve(DONE, runs=1000))
    with open_store(path) as store:
        cell = store.cells("c")["E4", "single"]
        assert (cell.shards, cell.runs, cell.steps, cell.seconds) == (2, 20, 200, 1.0)
        assert dict(cell.taken) == {"a": 3, "b": 3, "c": 5}
        assert cell.pairs == {("a", "b"), ("b", "c")}
        assert store.workers("c") == {"": 1, "w": 1}


def test_what_is_reachable_is_kept_for_its_sources_only(path: Path) -> None:
    reach = Reach(12, True, frozenset({"a"}), frozenset({("a", "b"), ("b", "a")}))
    with open_store(path) as store:
        store.record("c", attrs.evolve(DONE, reach=reach), sources="s")
        assert store.reachable("s") == {("E4", "single"): reach}
        assert store.reachable("t") == {}


def test_findings_are_kept_by_race_with_the_shortest_schedule(path: Path) -> None:
    shorter = attrs.evolve(RACE, scenario="marked", number=4, seed=9, schedule=("y", "z"))
    with open_store(path) as store:
        for number, each in enumerate([RACE, shorter, attrs.evolve(RACE, schedule=tuple("abcd"))]):
            store.record("c", attrs.evolve(DONE, number=number), [each])
        store.record("c", attrs.evolve(DONE, number=7), [attrs.evolve(RACE, era="E5")])
        found = store.findings("c")
        assert found == [attrs.evolve(shorter, times=3), attrs.evolve(RACE, era="E5")]


def test_a_forgotten_campaign_leaves_others_alone(path: Path) -> None:
    with open_store(path) as store:
        for name in ("c", "d"):
            store.begin(name, {})
            store.record(name, DONE, [RACE], elapsed=3.0)
        store.forget("c")
        assert (store.recorded("c"), store.cells("c"), store.findings("c"), store.elapsed("c")) == (set(), {}, [], 0.0)
        assert len(store.recorded("d")) == len(store.findings("d")) == 1


def test_a_shard_whose_findings_cannot_be_written_is_not_recorded_at_all(path: Path) -> None:
    with open_store(path) as store:
        with pytest.raises(TypeError):
            store.record("c", DONE, [attrs.evolve(RACE, facts={"no JSON": object()})])
        assert store.recorded("c") == set()
        assert store.cells("c") == {}
        assert store.record("c", DONE, [RACE])


def test_another_file_is_no_store(path: Path) -> None:
    path.write_text("this is a text of some length, and no database at all\n" * 40, "utf-8")
    told = f"{path} is no campaign store: name another file with --store"
    assert refused(path) == told
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (a)")
    connection.close()
    assert refused(path) == told


def test_a_store_of_another_release_is_refused(path: Path) -> None:
    open_store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert refused(path) == (
        f"{path} was written by another release of oomspec (schema 99, this one has 1): name another file with --store"
    )


def test_a_store_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "store.sqlite"
    assert refused(path) == (f"{path} cannot be written (unable to open database file): name another file with --store")


def full(store: Store) -> None:
    """From now on there is no room for another page."""
    (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
    store.connection.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_is_told_and_what_was_recorded_stays(path: Path) -> None:
    with open_store(path) as store:
        store.record("c", DONE)
        full(store)
        large = attrs.evolve(RACE, schedule=tuple(f"step {number}" for number in range(5000)))
        with pytest.raises(SpecError) as told:
            store.record("c", attrs.evolve(DONE, number=1), [large])
        assert str(told.value) == (
            f"{path}: the disk is full: make room and give the same command again, it goes on from what is recorded"
        )
        assert store.recorded("c") == {("E4", "single", 0)}
    with open_store(path) as store:
        assert store.record("c", attrs.evolve(DONE, number=1), [large])


def test_a_store_that_another_process_keeps_locked_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT", 0.05)
    with open_store(path) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SpecError) as told:
            store.record("c", DONE)
        assert str(told.value) == (
            f"{path} is locked by another process: let it finish, or name another file with --store"
        )
        other.execute("ROLLBACK")
        other.close()
        assert store.record("c", DONE)


def test_damaged_coverage_is_told(path: Path) -> None:
    with open_store(path) as store:
        store.record("c", DONE)
        store.connection.execute("UPDATE coverage SET taken = x'00'")
        with pytest.raises(SpecError) as told:
            store.cells("c")
        assert str(told.value).startswith(f"{path} is damaged (")
        assert str(told.value).endswith("): remove it, or name another file with --store")


def test_the_store_is_in_wal_mode_and_its_tables_are_strict(path: Path) -> None:
    with open_store(path) as store:
        assert store.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        tables = store.connection.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'").fetchall()
        assert {strict for name, strict in tables if not name.startswith("sqlite")} == {1}

"""The cache of results: what it gives back is what was computed, and nothing that it holds is simply believed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from oom_smt import cache as caching
from oom_smt.cache import KEPT, Cache, Request, open_cache
from oom_smt.matrix import Matrix, Task
from oom_spec.eras import find_era
from oom_spec.properties import find_properties
from oom_spec.scenarios import find_scenario
from oom_spec.verdicts import Verdict, Word

NAMES = "N2r"
SCENARIOS = ("marked", "empty-mm")
VERDICT = Verdict("E4", ("v4.9",), "N2r", "marked", Word.VIOLATED, "explore", depth=3, run=("a", "b", "c"))
REQUEST = Request("E4", "", "marked", "N2r", "{}")


SOURCES_CHANGED = caching.sources_changed


@pytest.fixture(autouse=True)
def sources_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever edits the sources while tests run does not make them fail."""
    monkeypatch.setattr(caching, "sources_changed", lambda: False)


class Opened:
    """A cache in a folder, and the warnings that it gave."""

    def __init__(self, folder: Path) -> None:
        self.warnings: list[str] = []
        self.cache = open_cache(self.warnings.append, folder)


def table(cache: Cache | None, *, z3_seconds: float = 0.0, eras: tuple[str, ...] = ("E4",)) -> Matrix:
    made = Matrix(
        [find_era(era) for era in eras],
        find_properties(NAMES),
        [find_scenario(name) for name in SCENARIOS],
        jobs=1,
        z3_seconds=z3_seconds,
        cache=cache,
    )
    made.run()
    return made


def plain(matrix: Matrix) -> dict[object, object]:
    return {key: attrs.asdict(verdict) for key, verdict in matrix.verdicts.items()}


def timeless(matrix: Matrix) -> dict[object, object]:
    return {key: attrs.asdict(attrs.evolve(verdict, seconds=0.0)) for key, verdict in matrix.verdicts.items()}


def test_a_hit_gives_the_very_verdicts_that_were_computed(tmp_path: Path) -> None:
    first = table(Opened(tmp_path).cache, z3_seconds=0.3)
    again = Opened(tmp_path)
    second = table(again.cache, z3_seconds=0.3)
    assert (first.from_cache, second.computed, again.warnings) == (0, 0, [])
    assert second.from_cache == first.computed > len(SCENARIOS)
    assert plain(second) == plain(first)
    assert any(text.startswith("z3") for v in second.verdicts.values() for text in v.checked_by)


def test_a_subset_of_the_properties_is_found_too(tmp_path: Path) -> None:
    store = Opened(tmp_path).cache
    whole = Matrix([find_era("E4")], find_properties("N2"), [find_scenario("empty-mm")], 1, 0.0, store)
    whole.run()
    part = Matrix([find_era("E4")], find_properties("N2r"), [find_scenario("empty-mm")], 1, 0.0, store)
    part.run()
    assert (part.computed, part.from_cache) == (0, 1)


def test_what_a_verdict_holds_survives_storing_exactly() -> None:
    verdict = attrs.evolve(
        VERDICT,
        strict=Word.VIOLATED,
        strict_depth=3,
        excuses={"N3": 2},
        excuse_runs={"N3": ("a", "b")},
        seconds=0.1234567,
        reason="why",
        same_as="E4b",
    )
    read = Verdict.from_stored(json.loads(json.dumps(verdict.as_stored())))
    assert attrs.asdict(read) == attrs.asdict(verdict)


@pytest.mark.parametrize("change", [{"word": "fine"}, {"depth": "3"}, {"more": 1}, {"touched": 1}, {"run": [1]}])
def test_what_is_no_verdict_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Verdict.from_stored({**VERDICT.as_stored(), **change})


# -- misses ----------------------------------------------------------------------------------


def test_another_source_is_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(Opened(tmp_path).cache)
    monkeypatch.setattr(caching, "source_digest", lambda: "another")
    assert table(Opened(tmp_path).cache).from_cache == 0


def test_the_digest_follows_the_sources_and_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compute = caching.source_digest.__wrapped__
    before = compute()
    assert compute() == before
    spec = tmp_path / "steps.py"
    spec.write_text("mm_users = 1", "utf-8")
    monkeypatch.setattr(caching, "_source_files", lambda: [spec])
    one = compute()
    spec.write_text("mm_users = 2", "utf-8")
    two = compute()
    monkeypatch.setattr(sys, "version", "4.0")
    assert len({before, one, two, compute()}) == 4


def test_every_part_of_a_request_makes_another_key() -> None:
    task = Task("E4", "marked", ("N2r",), 1.0)
    tasks = [
        task,
        attrs.evolve(task, scenario="single"),
        attrs.evolve(task, z3_seconds=2.0),
        attrs.evolve(task, depth_limit=3),
        attrs.evolve(task, explore=False),
        attrs.evolve(task, bound=7),
        attrs.evolve(task, properties=("N2r", "N2x")),
    ]
    era = find_era("E4")
    keys = {each.requests(era, "")["N2r"].key for each in tasks}
    keys |= {task.requests(find_era("E5"), "")["N2r"].key, task.requests(era, "its file")["N2r"].key}
    assert len(keys) == len(tasks) + 2


def test_a_users_era_is_keyed_by_what_its_file_says(tmp_path: Path) -> None:
    path = tmp_path / "my_patch.py"
    path.write_text("first = 1", "utf-8")
    era = attrs.evolve(find_era("E4"), id="mine", file=str(path))
    before = caching.era_digest(era)
    path.write_text("first = 2", "utf-8")
    assert before
    assert caching.era_digest(era) not in ("", before)
    assert caching.era_digest(find_era("E4")) == ""


def test_unknown_is_not_kept(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    opened.cache.store({REQUEST: attrs.evolve(VERDICT, word=Word.UNKNOWN, depth=None)})
    assert opened.cache.lookup([REQUEST]) == {}
    assert opened.cache.connection is not None
    assert opened.cache.connection.execute("SELECT count(*) FROM results").fetchone() == (0,)
    opened.cache.store({REQUEST: VERDICT})
    assert len(opened.cache.lookup([REQUEST])) == 1


def test_what_was_written_after_the_start_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "steps.py"
    source.write_text("", "utf-8")
    monkeypatch.setattr(caching, "sources_changed", SOURCES_CHANGED)
    monkeypatch.setattr(caching, "_source_files", lambda: [source])
    opened = Opened(tmp_path / "cache")
    opened.cache.store({REQUEST: VERDICT})
    assert [text.rpartition(": the sources")[2] for text in opened.warnings] == [
        " of oomspec changed during the run; its results are not kept: going on without it"
    ]
    os.utime(source, (0, 0))
    again = Opened(tmp_path / "cache")
    assert again.cache.lookup([REQUEST]) == {}
    again.cache.store({REQUEST: VERDICT})
    assert len(again.cache.lookup([REQUEST])) == 1


def test_the_results_of_old_sources_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(KEPT + 2):
        monkeypatch.setattr(caching, "source_digest", lambda number=number: f"source {number}")
        Opened(tmp_path).cache.store({REQUEST: VERDICT})
    with sqlite3.connect(tmp_path / "results-1.sqlite") as file:
        kept = [source for (source,) in file.execute("SELECT DISTINCT source FROM results ORDER BY source")]
    file.close()
    assert kept == [f"source {number}" for number in range(2, KEPT + 2)]


# -- damage ----------------------------------------------------------------------------------


def _rewrite(path: Path, change: Callable[[sqlite3.Connection], object]) -> None:
    file = sqlite3.connect(path)
    with file:
        change(file)
    file.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 400)


def truncated(path: Path) -> None:
    _rewrite(path, lambda file: file.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
    for beside in path.parent.glob("*.sqlite-*"):
        beside.unlink()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def emptied_in_the_middle(path: Path) -> None:
    _rewrite(path, lambda file: file.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
    for beside in path.parent.glob("*.sqlite-*"):
        beside.unlink()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))


def foreign(path: Path) -> None:
    path.unlink()
    _rewrite(path, lambda file: file.execute("CREATE TABLE bookmarks (address TEXT)"))


def other_schema(path: Path) -> None:
    _rewrite(path, lambda file: file.execute("PRAGMA user_version = 99"))


def without_tables(path: Path) -> None:
    _rewrite(path, lambda file: file.execute("DROP TABLE results"))


def tampered(path: Path) -> None:
    lie = zlib.compress(json.dumps(attrs.evolve(VERDICT, word=Word.PROVED_INSTANCE, depth=None).as_stored()).encode())
    _rewrite(path, lambda file: file.execute("UPDATE results SET verdict = ?", (lie,)))


def wrong_digest(path: Path) -> None:
    _rewrite(path, lambda file: file.execute("UPDATE results SET digest = ?", (hashlib.sha256(b"").digest(),)))


def exchanged(path: Path) -> None:
    """Each row whole, but under the key of another."""

    def exchange(file: sqlite3.Connection) -> None:
        rows = file.execute("SELECT key, source, digest, verdict FROM results").fetchall()
        file.execute("DELETE FROM results")
        for (key, *_), (_, source, _, packed) in zip(rows, [*rows[1:], rows[0]], strict=True):
            digest = hashlib.sha256(key + packed).digest()
            file.execute("INSERT INTO results VALUES (?, ?, ?, ?)", (key, source, digest, packed))

    _rewrite(path, exchange)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (garbage, "file is not a database (remove the file to start afresh): going on without it"),
        (truncated, "database disk image is malformed (remove the file to start afresh): going on without it"),
        (emptied_in_the_middle, "(remove the file to start afresh): going on without it"),
        (foreign, "it is no cache of this release of oomspec: going on without it"),
        (other_schema, "it is no cache of this release of oomspec: going on without it"),
        (without_tables, "no such table: results: going on without it"),
        (tampered, "damaged results are computed again"),
        (wrong_digest, "damaged results are computed again"),
        (exchanged, "damaged results are computed again"),
    ],
)
def test_a_damaged_cache_is_one_warning_and_right_results(
    tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    opened = Opened(tmp_path)
    before = table(opened.cache)
    opened.cache.close()
    path = tmp_path / "results-1.sqlite"
    damage(path)
    again = Opened(tmp_path)
    after = table(again.cache)
    assert (len(again.warnings), after.from_cache) == (1, 0)
    assert again.warnings[0].startswith(f"cache {path}: ")
    assert again.warnings[0].endswith(words)
    assert timeless(after) == timeless(before)


def test_damage_in_the_middle_of_a_run_is_one_warning(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    opened.cache.store({REQUEST: VERDICT})
    without_tables(tmp_path / "results-1.sqlite")
    assert (opened.cache.lookup([REQUEST]), opened.cache.lookup([REQUEST])) == ({}, {})
    opened.cache.store({REQUEST: VERDICT})
    assert [text.partition(": ")[2] for text in opened.warnings] == ["no such table: results: going on without it"]


def test_damaged_rows_are_mended(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    table(opened.cache)
    opened.cache.close()
    tampered(tmp_path / "results-1.sqlite")
    table(Opened(tmp_path).cache)
    assert table(Opened(tmp_path).cache).computed == 0


# -- places ----------------------------------------------------------------------------------


def test_the_folder_is_named_or_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OOMSPEC_CACHE", str(tmp_path / "named"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "base"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert caching.location() == tmp_path / "named"
    monkeypatch.delenv("OOMSPEC_CACHE")
    assert caching.location() == tmp_path / "base" / "oomspec"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert caching.location() == tmp_path / ".cache" / "oomspec"


def test_a_new_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    Opened(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def _without_cache(opened: Opened, words: str) -> None:
    after = table(opened.cache)
    assert [text.partition(": ")[2] for text in opened.warnings] == [f"{words}: going on without it"]
    assert (after.from_cache, {cell.word for cell in after.cells().values()} & {Word.UNKNOWN}) == (0, set())


def test_a_file_in_place_of_the_folder_is_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    _without_cache(Opened(tmp_path / "file"), "File exists")


def test_a_folder_that_cannot_be_made_is_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    _without_cache(Opened(tmp_path / "file" / "in"), "Not a directory")


def test_a_folder_that_cannot_be_written_to_is_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *arguments: False)  # root may write everywhere
    _without_cache(Opened(tmp_path), f"{tmp_path.name} cannot be written to")


def test_another_users_folder_is_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    _without_cache(Opened(tmp_path), "it belongs to another user")


def test_a_folder_that_anybody_may_write_to_is_one_warning(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    _without_cache(Opened(tmp_path), f"anybody may write to {tmp_path.name}")


def test_a_full_disk_is_one_warning(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    assert opened.cache.connection is not None
    (pages,) = opened.cache.connection.execute("PRAGMA page_count").fetchone()
    opened.cache.connection.execute(f"PRAGMA max_page_count = {pages}")
    noise = [os.urandom(99).hex() for _ in range(99)]
    large = {attrs.evolve(REQUEST, options=text): attrs.evolve(VERDICT, reason=text) for text in noise}
    opened.cache.store(large)
    opened.cache.store(large)
    assert [text.partition(": ")[2] for text in opened.warnings] == ["database or disk is full: going on without it"]


# -- several processes -----------------------------------------------------------------------


def test_two_caches_at_once_see_each_others_results(tmp_path: Path) -> None:
    one, two = Opened(tmp_path), Opened(tmp_path)
    other = attrs.evolve(REQUEST, options="other")
    one.cache.store({REQUEST: VERDICT})
    two.cache.store({other: VERDICT})
    one.cache.store({REQUEST: VERDICT})
    assert set(one.cache.lookup([REQUEST, other])) == set(two.cache.lookup([REQUEST, other])) == {REQUEST, other}
    assert one.warnings == two.warnings == []


def test_a_writer_that_hangs_is_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "WAIT", 0.05)
    opened, other = Opened(tmp_path), Opened(tmp_path)
    assert other.cache.connection is not None
    other.cache.connection.execute("BEGIN IMMEDIATE")
    opened.cache.store({REQUEST: VERDICT})
    assert [text.partition(": ")[2] for text in opened.warnings] == ["database is locked: going on without it"]
    assert other.cache.connection.in_transaction


KILLED = """
import sys
from pathlib import Path
from oom_smt import cache as caching
from oom_smt.cache import open_cache
caching.sources_changed = lambda: False
from oom_smt.matrix import Matrix
from oom_spec.eras import find_era
from oom_spec.properties import find_properties
from oom_spec.scenarios import find_scenario
eras = [find_era(name) for name in ("E4", "E5")]
scenarios = [find_scenario(name) for name in ("marked", "empty-mm")]
cache = open_cache(print, Path(sys.argv[1]))
table = Matrix(eras, find_properties("N2r"), scenarios, 1, 0.0, cache)
table.run(lambda done, total, text: (print(done), sys.stdin.read()))
"""


def test_a_run_that_is_killed_is_continued(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"1\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    opened = Opened(tmp_path)
    resumed = table(opened.cache, eras=("E4", "E5"))
    assert (resumed.from_cache, resumed.computed, opened.warnings) == (1, 3, [])
    assert timeless(resumed) == timeless(table(None, eras=("E4", "E5")))


def test_a_late_run_keeps_what_is_known_only(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    late = Matrix(
        [find_era("E4")], find_properties("N2r"), [find_scenario("marked")], 1, 0.0, opened.cache, time.monotonic()
    )
    late.run()
    assert {cell.word for cell in late.cells().values()} == {Word.UNKNOWN}
    assert table(opened.cache).from_cache == 0

"""What campaigns have found so far, in one sqlite file that survives the death of whoever writes it.

One short transaction for each finished shard, with everything that came of it: a shard is recorded whole or not at
all, and under a key of its own, so none is counted twice. What was found is kept by race: one row for each, with the
shortest schedule and how many shards met it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from oom_conformance.reaching import Pair, Reach
from oom_conformance.shards import Done
from oom_spec.language import SpecError

SCHEMA = 1
"""The form of the file."""
APPLICATION = 0x6F6F6D63
"""What says that a sqlite file is ours."""
WAIT = 10.0
"""Seconds to wait for another process that is writing."""

TABLES = """
CREATE TABLE campaigns (
    id TEXT PRIMARY KEY, made REAL NOT NULL, described TEXT NOT NULL, elapsed REAL NOT NULL
) STRICT;
CREATE TABLE shards (
    campaign TEXT NOT NULL, era TEXT NOT NULL, scenario TEXT NOT NULL, number INTEGER NOT NULL, seed INTEGER NOT NULL,
    runs INTEGER NOT NULL, steps INTEGER NOT NULL, seconds REAL NOT NULL, worker TEXT NOT NULL,
    PRIMARY KEY (campaign, era, scenario, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE coverage (
    campaign TEXT NOT NULL, era TEXT NOT NULL, scenario TEXT NOT NULL, taken BLOB NOT NULL, pairs BLOB NOT NULL,
    PRIMARY KEY (campaign, era, scenario)
) STRICT;
CREATE TABLE reachable (
    sources TEXT NOT NULL, era TEXT NOT NULL, scenario TEXT NOT NULL, states INTEGER NOT NULL,
    truncated INTEGER NOT NULL, steps BLOB NOT NULL, pairs BLOB NOT NULL,
    PRIMARY KEY (sources, era, scenario)
) STRICT;
CREATE TABLE findings (
    campaign TEXT NOT NULL, kind TEXT NOT NULL, race TEXT NOT NULL, era TEXT NOT NULL, scenario TEXT NOT NULL,
    number INTEGER NOT NULL, seed INTEGER NOT NULL, times INTEGER NOT NULL, length INTEGER NOT NULL,
    schedule TEXT NOT NULL, facts TEXT NOT NULL,
    PRIMARY KEY (campaign, kind, race, era)
) STRICT
"""


@attrs.frozen
class Found:
    """One race, or one fault of an implementation, in one era."""

    kind: str
    """A word of `oom_conformance.campaigns`."""
    race: str
    """What makes two of a kind the same."""
    era: str
    scenario: str
    """Where the shortest schedule was met, as are number and seed."""
    number: int
    seed: int
    schedule: tuple[str, ...]
    """The shortest that was met."""
    facts: Mapping[str, Any] = attrs.field(factory=dict)
    """What else is known, as JSON can hold it."""
    times: int = 1
    """Shards that met it."""


@attrs.frozen
class Cell:
    """All that was done of one era in one scenario."""

    shards: int
    runs: int
    steps: int
    seconds: float
    taken: Mapping[str, int]
    pairs: frozenset[Pair]


class Store:
    """An open file; made by `open_store`. Every method raises `SpecError` where the file cannot be read or written."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection

    # -- writing -----------------------------------------------------------------------------

    def begin(self, campaign: str, described: Mapping[str, Any]) -> None:
        """Note a campaign, unless it is known."""
        with self._transaction() as run:
            run("INSERT OR IGNORE INTO campaigns VALUES (?, ?, ?, 0)", (campaign, time.time(), json.dumps(described)))

    def forget(self, campaign: str) -> None:
        """Drop all that is recorded of a campaign."""
        with self._transaction() as run:
            for table in ("shards", "coverage", "findings"):
                run(f"DELETE FROM {table} WHERE campaign = ?", (campaign,))  # noqa: S608 - names of our own
            run("DELETE FROM campaigns WHERE id = ?", (campaign,))

    def record(
        self, campaign: str, done: Done, found: Iterable[Found] = (), *, sources: str = "", elapsed: float | None = None
    ) -> bool:
        """Record a finished shard with all that came of it, in one transaction; False where it was recorded before.

        ``sources`` is what its ``reach`` depends on; ``elapsed`` the seconds that the campaign has taken so far.
        """
        with self._transaction() as run:
            row = (campaign, *done.key, done.seed, done.runs, done.steps, done.seconds, done.worker)
            try:
                run("INSERT INTO shards VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            except sqlite3.IntegrityError:
                return False
            self._cover(run, campaign, done)
            if done.reach is not None:
                reach = (done.reach.states, int(done.reach.truncated), _pack(sorted(done.reach.steps)))
                key = (sources, done.era, done.scenario)
                pairs = _pack_pairs(done.reach.pairs)
                run("INSERT OR REPLACE INTO reachable VALUES (?, ?, ?, ?, ?, ?, ?)", (*key, *reach, pairs))
            for each in found:
                _note(run, campaign, each)
            if elapsed is not None:
                run("UPDATE campaigns SET elapsed = max(elapsed, ?) WHERE id = ?", (elapsed, campaign))
            return True

    def _cover(self, run: Any, campaign: str, done: Done) -> None:
        key = (campaign, done.era, done.scenario)
        old = run("SELECT taken, pairs FROM coverage WHERE campaign = ? AND era = ? AND scenario = ?", key).fetchone()
        taken = dict(done.taken)
        pairs = done.pairs
        if old is not None:
            for name, times in self._unpack(old[0]).items():
                taken[name] = taken.get(name, 0) + times
            pairs |= self._unpack_pairs(old[1])
        run("INSERT OR REPLACE INTO coverage VALUES (?, ?, ?, ?, ?)", (*key, _pack(taken), _pack_pairs(pairs)))

    # -- reading -----------------------------------------------------------------------------

    def recorded(self, campaign: str) -> set[tuple[str, str, int]]:
        """The shards that need not be run again: era, scenario, number."""
        rows = self._ask("SELECT era, scenario, number FROM shards WHERE campaign = ?", campaign)
        return {(era, scenario, number) for era, scenario, number in rows}

    def elapsed(self, campaign: str) -> float:
        """Seconds that the campaign has taken so far, all sittings together."""
        rows = self._ask("SELECT elapsed FROM campaigns WHERE id = ?", campaign)
        return float(rows[0][0]) if rows else 0.0

    def workers(self, campaign: str) -> dict[str, int]:
        """How many shards each worker did."""
        return dict(self._ask("SELECT worker, count(*) FROM shards WHERE campaign = ? GROUP BY worker", campaign))

    def cells(self, campaign: str) -> dict[tuple[str, str], Cell]:
        """What was done, by era and scenario."""
        covered = {
            (era, scenario): (self._unpack(taken), self._unpack_pairs(pairs))
            for era, scenario, taken, pairs in self._ask(
                "SELECT era, scenario, taken, pairs FROM coverage WHERE campaign = ?", campaign
            )
        }
        rows = self._ask(
            "SELECT era, scenario, count(*), sum(runs), sum(steps), sum(seconds) FROM shards WHERE campaign = ? "
            "GROUP BY era, scenario",
            campaign,
        )
        return {
            (era, scenario): Cell(shards, runs, steps, seconds, *covered[era, scenario])
            for era, scenario, shards, runs, steps, seconds in rows
        }

    def reachable(self, sources: str) -> dict[tuple[str, str], Reach]:
        """What the explorer said is reachable, by era and scenario, with these sources."""
        rows = self._ask(
            "SELECT era, scenario, states, truncated, steps, pairs FROM reachable WHERE sources = ?", sources
        )
        return {
            (era, scenario): Reach(states, bool(truncated), frozenset(self._unpack(steps)), self._unpack_pairs(pairs))
            for era, scenario, states, truncated, steps, pairs in rows
        }

    def findings(self, campaign: str) -> list[Found]:
        """What was found, in a fixed order."""
        rows = self._ask(
            "SELECT kind, race, era, scenario, number, seed, schedule, facts, times FROM findings WHERE campaign = ? "
            "ORDER BY kind, race, era",
            campaign,
        )
        return [
            Found(kind, race, era, scenario, number, seed, tuple(json.loads(schedule)), json.loads(facts), times)
            for kind, race, era, scenario, number, seed, schedule, facts, times in rows
        ]

    # -- the file ----------------------------------------------------------------------------

    def _ask(self, question: str, *values: object) -> list[Any]:
        try:
            return self.connection.execute(question, values).fetchall()
        except sqlite3.Error as error:
            raise _told(self.path, error) from error

    def _unpack(self, packed: bytes) -> Any:
        try:
            return json.loads(zlib.decompress(packed))
        except (zlib.error, ValueError) as error:
            raise _damaged(self.path, str(error)) from error

    def _unpack_pairs(self, packed: bytes) -> frozenset[Pair]:
        names, positions = self._unpack(packed)
        return frozenset((names[first], names[second]) for first, second in positions)

    def _transaction(self) -> _Transaction:
        return _Transaction(self)

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Transaction:
    """All or nothing, and nobody else writes meanwhile."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __enter__(self) -> Any:
        try:
            self.store.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise _told(self.store.path, error) from error
        return self.store.connection.execute

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        connection = self.store.connection
        try:
            if connection.in_transaction:
                connection.execute("COMMIT" if kind is None else "ROLLBACK")
        except sqlite3.Error as problem:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise _told(self.store.path, problem) from problem
        if isinstance(error, sqlite3.Error):
            raise _told(self.store.path, error) from error


def _note(run: Any, campaign: str, found: Found) -> None:
    """Count a finding, and keep the shortest schedule; of equally short ones that of the first seed."""
    values = (
        campaign,
        found.kind,
        found.race,
        found.era,
        found.scenario,
        found.number,
        found.seed,
        found.times,
        len(found.schedule),
        json.dumps(found.schedule),
        json.dumps(found.facts),
    )
    run(
        "INSERT INTO findings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "times = times + excluded.times",
        values,
    )
    run(
        "UPDATE findings SET scenario = ?5, number = ?6, seed = ?7, length = ?9, schedule = ?10, facts = ?11 "
        "WHERE campaign = ?1 AND kind = ?2 AND race = ?3 AND era = ?4 "
        "AND (length, scenario, number) > (?9, ?5, ?6)",
        values,
    )


def default_path() -> Path:
    """Where campaigns are recorded unless said otherwise: ``$OOMSPEC_CACHE``, else the user's cache folder."""
    named = os.environ.get("OOMSPEC_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    folder = Path(named) if named else (Path(base) if base else Path.home() / ".cache") / "oomspec"
    return folder / "campaigns.sqlite"


def open_store(path: Path) -> Store:
    """The store in this file, which is made where it is missing.

    Raises `SpecError` where the file is something else, or cannot be used.
    """
    try:
        connection = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
    except sqlite3.Error as error:
        raise _told(path, error) from error
    try:
        if _marks(connection) == (0, 0) and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            _create(connection)
        application, schema = _marks(connection)
        if application != APPLICATION:
            raise SpecError(f"{path} is no campaign store: name another file with --store")  # noqa: TRY301 - closes it
        if schema != SCHEMA:
            raise SpecError(  # noqa: TRY301 - closes what it opened
                f"{path} was written by another release of oomspec (schema {schema}, this one has {SCHEMA}): "
                "name another file with --store"
            )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("SELECT 1 FROM shards LIMIT 1").fetchone()
    except sqlite3.Error as error:
        connection.close()
        raise _told(path, error) from error
    except BaseException:
        connection.close()
        raise
    return Store(path, connection)


def _create(connection: sqlite3.Connection) -> None:
    """Make the tables, unless another process has just done it."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _marks(connection) == (0, 0):
            for table in TABLES.split(";"):
                connection.execute(table)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    return application, schema


def _told(path: Path, error: sqlite3.Error) -> SpecError:
    """What an error of sqlite means to the user."""
    text = str(error)
    if "full" in text:
        return SpecError(
            f"{path}: the disk is full: make room and give the same command again, it goes on from what is recorded"
        )
    if "locked" in text or "busy" in text:
        return SpecError(f"{path} is locked by another process: let it finish, or name another file with --store")
    if "not a database" in text:
        return SpecError(f"{path} is no campaign store: name another file with --store")
    if "malformed" in text or "no such" in text:
        return _damaged(path, text)
    if "readonly" in text or "unable to open" in text:
        return SpecError(f"{path} cannot be written ({text}): name another file with --store")
    return SpecError(f"{path}: {text}: name another file with --store")


def _damaged(path: Path, how: str) -> SpecError:
    return SpecError(f"{path} is damaged ({how}): remove it, or name another file with --store")


def _pack(value: object) -> bytes:
    return zlib.compress(json.dumps(value).encode(), 1)


def _pack_pairs(pairs: Iterable[Pair]) -> bytes:
    """Steps once, pairs as two positions among them."""
    ordered: Sequence[Pair] = sorted(pairs)
    names = sorted({name for pair in ordered for name in pair})
    position = {name: number for number, name in enumerate(names)}
    return _pack([names, [[position[first], position[second]] for first, second in ordered]])


__all__ = ["SCHEMA", "Cell", "Found", "Store", "default_path", "open_store"]

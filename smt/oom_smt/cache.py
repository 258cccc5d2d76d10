"""Results of earlier runs, in one sqlite file, each under a key of everything that can change it.

What goes into a key: the sources of `oom_spec` and `oom_smt`, Python's and (where it is asked) z3's version, the era
(for a user's own file its content too), the scenario, the property, and how hard was tried. The manifest does not: it
is compared with results and never makes one.

Nothing here can fail a run. A file that cannot be used, read, believed or written is left alone with one line of
warning, and the run goes on without it. A result that does not match its digest is computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import stat
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import attrs

import oom_smt
import oom_spec
from oom_smt import z3_api
from oom_spec.language.eras import Era
from oom_spec.verdicts import Verdict, Word

SCHEMA = 1
"""The form of the file; it is part of the file's name too, so that other releases keep to their own."""
APPLICATION = 0x6F6F6D73
"""What says that a sqlite file is ours."""
KEPT = 4
"""Results of so many source versions are kept."""
MOST_AT_ONCE = 500
"""Keys in one question to sqlite."""
WAIT = 5.0
"""Seconds to wait for another process that is writing."""

TABLES = (
    "CREATE TABLE sources (digest TEXT PRIMARY KEY, origin TEXT NOT NULL, used REAL NOT NULL) STRICT",
    (
        "CREATE TABLE results (key BLOB PRIMARY KEY, source TEXT NOT NULL, digest BLOB NOT NULL, "
        "verdict BLOB NOT NULL) STRICT, WITHOUT ROWID"
    ),
    "CREATE INDEX results_by_source ON results (source)",
)


def location() -> Path:
    """The folder of the cache: ``$OOMSPEC_CACHE``, else the user's cache folder."""
    named = os.environ.get("OOMSPEC_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "oomspec"


# -- what a result depends on ----------------------------------------------------------------


def _source_files() -> list[Path]:
    """The modules of the specification and of the solver side: what the command only prints is not among them."""
    roots = [Path(str(package.__file__)).parent for package in (oom_spec, oom_smt)]
    return sorted(path for root in roots for path in root.rglob("*.py"))


@cache
def source_digest() -> str:
    """A digest of the sources, and of the Python and the attrs that run them; computed once in a process."""
    found = hashlib.sha256()
    for path in _source_files():
        found.update(f"{path.parent.name}/{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    found.update(repr((SCHEMA, sys.version, sys.flags.optimize, version("attrs"))).encode())
    return found.hexdigest()


@cache
def _process_started() -> float:
    """When this process started, in seconds since 1970; now, where the kernel does not tell."""
    try:
        ticks = int(Path("/proc/self/stat").read_text("ascii").rsplit(")", 1)[1].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        age = 0.0
    return time.time() - age


def sources_changed() -> bool:
    """A source file was written since this process started: what runs may not be what the digest says."""
    return any(path.stat().st_mtime > _process_started() for path in _source_files())


def era_digest(era: Era) -> str:
    """A digest of the user's file that ``era`` comes from and of the modules beside it; empty for others.

    Raises `OSError` where the file cannot be read.
    """
    if not era.file:
        return ""
    home = Path(era.file).resolve().parent
    beside = {Path(era.file).resolve()}
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None)
        if name and Path(name).is_absolute() and home in Path(name).resolve().parents:
            beside.add(Path(name).resolve())
    found = hashlib.sha256()
    for path in sorted(beside):
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


@attrs.frozen
class Request:
    """What is asked: everything that decides the answer, the sources aside."""

    era: str
    content: str
    """`era_digest`"""
    scenario: str
    subject: str
    """The id of the property."""
    options: str
    """How hard is tried, and what is asked together with it, as JSON."""

    @property
    def source(self) -> str:
        """The digest of what computes the answer."""
        if not self.content:
            return source_digest()
        return hashlib.sha256(f"{source_digest()} {self.content}".encode()).hexdigest()

    @property
    def key(self) -> bytes:
        """What the answer is stored under."""
        parts = [self.source, self.era, self.scenario, self.subject, self.options]
        return hashlib.sha256(json.dumps(parts).encode()).digest()


def options_text(*, z3: bool, **options: object) -> str:
    """How hard is tried, as one text; with z3's version where z3 is asked."""
    return json.dumps({**options, "z3": z3_api.version() if z3 else None}, sort_keys=True)


# -- the file --------------------------------------------------------------------------------


class _Unusable(Exception):  # noqa: N818 - becomes one line of warning
    """Why the file is not used, in words."""


@attrs.define(eq=False)
class Cache:
    """The results of earlier runs; made by `open_cache`. Without a connection it finds and keeps nothing."""

    path: Path
    warn: Callable[[str], None]
    """Told, at most once, why the cache is not used (any more)."""
    connection: sqlite3.Connection | None = None
    _damaged: bool = False
    _registered: set[str] = attrs.field(factory=set)

    def lookup(self, requests: Iterable[Request]) -> Mapping[Request, Verdict]:
        """The results that are known; one that does not match its digest is not."""
        wanted = {request.key: request for request in requests}
        found: dict[Request, Verdict] = {}
        keys = list(wanted)
        for start in range(0, len(keys), MOST_AT_ONCE):
            for key, digest, packed in self._select(keys[start : start + MOST_AT_ONCE]):
                verdict = _believed(wanted[key], digest, packed)
                if verdict is not None:
                    found[wanted[key]] = verdict
                elif not self._damaged:
                    self._damaged = True
                    self.warn(f"cache {self.path}: damaged results are computed again")
        return found

    def _select(self, keys: Sequence[bytes]) -> list[tuple[bytes, object, object]]:
        if self.connection is None:
            return []
        question = f"SELECT key, digest, verdict FROM results WHERE key IN ({', '.join('?' * len(keys))})"  # noqa: S608 - question marks only
        try:
            return self.connection.execute(question, keys).fetchall()
        except sqlite3.Error as error:
            self._give_up(_reason(error))
            return []

    def store(self, results: Mapping[Request, Verdict]) -> None:
        """Keep what was decided, at once and in one piece; what is unknown is not kept."""
        rows = []
        for request, verdict in results.items():
            if verdict.word is not Word.UNKNOWN:
                packed = zlib.compress(json.dumps(verdict.as_stored(), ensure_ascii=False).encode(), 1)
                rows.append((request.key, request.source, _digest(request.key, packed), packed))
        if self.connection is None or not rows:
            return
        if sources_changed():
            self._give_up("the sources of oomspec changed during the run; its results are not kept")
            return
        try:
            with _transaction(self.connection):
                for request in results:
                    self._register(request)
                self.connection.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            self._give_up(_reason(error))

    def _register(self, request: Request) -> None:
        """Note that a source version is in use, and drop the results of those that were not for longest."""
        source = request.source
        if self.connection is None or source in self._registered:
            return
        self._registered.add(source)
        run = self.connection.execute
        origin = request.era if request.content else ""
        run("INSERT OR REPLACE INTO sources VALUES (?, ?, ?)", (source, origin, time.time()))
        old = run("SELECT digest FROM sources WHERE origin = ? ORDER BY used DESC", (origin,)).fetchall()[KEPT:]
        for (digest,) in old:
            run("DELETE FROM results WHERE source = ?", (digest,))
            run("DELETE FROM sources WHERE digest = ?", (digest,))

    def _give_up(self, reason: str) -> None:
        self.close()
        self.warn(f"cache {self.path}: {reason}: going on without it")

    def close(self) -> None:
        """Let go of the file; harmless where there is none."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _digest(key: bytes, packed: bytes) -> bytes:
    return hashlib.sha256(key + packed).digest()


def _believed(request: Request, digest: object, packed: object) -> Verdict | None:
    """The verdict in a row, if the row is whole and answers the request."""
    if not isinstance(packed, bytes) or digest != _digest(request.key, packed):
        return None
    try:
        verdict = Verdict.from_stored(json.loads(zlib.decompress(packed)))
    except (ValueError, TypeError, KeyError, AttributeError, zlib.error):
        return None
    right = (verdict.era, verdict.scenario, verdict.property) == (request.era, request.scenario, request.subject)
    return verdict if right and verdict.word is not Word.UNKNOWN else None


class _transaction:  # noqa: N801 - used as a statement
    """All or nothing, and nobody else writes meanwhile."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __enter__(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self.connection.in_transaction:
            self.connection.execute("COMMIT" if kind is None else "ROLLBACK")


def _reason(error: sqlite3.Error) -> str:
    text = str(error)
    if isinstance(error, sqlite3.OperationalError):
        return text
    return f"{text} (remove the file to start afresh)"


def open_cache(warn: Callable[[str], None], folder: Path | None = None) -> Cache:
    """The cache in ``folder`` (`location`, unless said); one that keeps nothing, where that cannot be used."""
    path = (location() if folder is None else folder) / f"results-{SCHEMA}.sqlite"
    cache_of_results = Cache(path, warn)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _own(path.parent)
        if path.exists():
            _own(path)
        cache_of_results.connection = _connect(path)
    except _Unusable as unusable:
        warn(f"cache {path}: {unusable}: going on without it")
    except sqlite3.Error as error:
        warn(f"cache {path}: {_reason(error)}: going on without it")
    except OSError as error:
        warn(f"cache {error.filename or path}: {error.strerror or error}: going on without it")
    return cache_of_results


def _own(path: Path) -> None:
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise _Unusable("it belongs to another user")
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise _Unusable(f"anybody may write to {path.name}")
    if path.is_dir() and not os.access(path, os.W_OK | os.X_OK):
        raise _Unusable(f"{path.name} cannot be written to")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
    try:
        if _marks(connection) == (0, 0) and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            _create(connection)
        if _marks(connection) != (APPLICATION, SCHEMA):
            raise _Unusable("it is no cache of this release of oomspec")  # noqa: TRY301 - closes what it opened
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("SELECT key, source, digest, verdict FROM results LIMIT 1").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    """Make the tables, unless another process has just done it."""
    connection.execute("PRAGMA journal_mode = WAL")
    with _transaction(connection):
        if _marks(connection) == (0, 0):
            for table in TABLES:
                connection.execute(table)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    return application, schema


__all__ = ["Cache", "Request", "era_digest", "location", "open_cache", "options_text", "source_digest"]

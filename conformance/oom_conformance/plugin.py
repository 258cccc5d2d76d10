"""The conformance suite as a pytest plugin: ``pytest --pyargs oom_conformance --implementation package.module:Class``.

Loaded in every run of pytest where oomspec is installed, so it imports nothing of the suite until its own tests are
collected. A test's id has the era, the scenario and, where the test is about one, the property:
``test_lockstep[E7-single]``, ``test_race[N1s-E4-single]``. What an implementation does not claim to do is skipped, or
fails with ``--strict``; the collection never fails for it.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest

if TYPE_CHECKING:
    from oom_conformance.interface import Capabilities, Implementation

SCHEMA = 1
"""The version of the JSON report."""

MARKERS = (
    "era(id): the era that the test is about",
    "scenario(id): the scenario in which it runs",
    "conformance_property(id): the property that it is about",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The suite's options."""
    group = parser.getgroup("oomspec", "the OOM reaper's conformance suite")
    group.addoption(
        "--implementation",
        metavar="NAME",
        help="the implementation to test: package.module:Class, '!command', or an entry point's name",
    )
    group.addoption("--era", action="append", default=[], metavar="ERA", help="only this era; may be repeated")
    group.addoption("--scenario", action="append", default=[], metavar="ID", help="only this scenario; may be repeated")
    group.addoption("--conformance-property", action="append", default=[], metavar="ID", help="only races of it")
    group.addoption("--examples", type=int, default=20, metavar="N", help="Hypothesis examples per test (20)")
    group.addoption(
        "--limit", type=float, default=120.0, metavar="SECONDS", help="for one test; beyond, it hangs (120)"
    )
    group.addoption("--skips", metavar="FILE", help="a file of test ids (shell patterns) that are not run")
    group.addoption("--xfails", metavar="FILE", help="a file of test ids (shell patterns) that are expected to fail")
    group.addoption("--conformance-report", metavar="FILE", help="write the results as JSON")
    group.addoption("--emit-test", metavar="FILE", help="write the first failing run as a pytest file of its own")


@attrs.define(eq=False)
class Session:
    """One run of the suite: the implementation, and what came of it."""

    make: Callable[[], Implementation]
    capabilities: Capabilities
    strict: bool
    examples: int
    name: str
    emit: Path | None
    limit: float
    """Seconds after which a test's implementation counts as hanging."""
    emitted: bool = False
    """A failing run was written already."""
    started: float = attrs.field(factory=time.time)

    def lacks(self, era: str, scenario: str) -> str:
        """What keeps the implementation from being tested there; empty where nothing does."""
        able = self.capabilities
        if able.eras is not None and era not in able.eras:
            return f"{able.name} does not implement {era}"
        if able.scenarios is not None and scenario not in able.scenarios:
            return f"{able.name} cannot be put into {scenario}"
        return ""

    def require(self, era: str, scenario: str) -> None:
        """Skip the test, or fail it where the run is strict, if a capability is missing."""
        missing = self.lacks(era, scenario)
        if missing and self.strict:
            pytest.fail(missing, pytrace=False)
        if missing:
            pytest.skip(missing)

    @contextlib.contextmanager
    def limited(self) -> Iterator[Callable[[], Implementation]]:
        """How to make the implementation, inside a block in which it must not hang.

        A test whose implementation does fails, with the schedule up to there.
        """
        from oom_conformance.shards import OutOfTime, Watched, time_limit

        made: list[Watched] = []

        def watched() -> Implementation:
            made.append(Watched(self.make()))
            return cast("Implementation", made[-1])

        try:
            with time_limit(self.limit):
                yield watched
        except OutOfTime:
            schedule = made[-1].schedule if made else []
            lines = [f"    {number:3} {action}" for number, action in enumerate(schedule, 1)]
            if not made:
                what = f"the implementation was not made within {self.limit:g} s"
            elif made[-1].at_work:
                what = f"no answer within {self.limit:g} s to {made[-1].call or 'the last of these steps'}"
            else:
                what = f"out of time after {self.limit:g} s: raise --limit, or ask for fewer --examples"
            pytest.fail("\n".join([what, *lines]), pytrace=False)
        finally:
            for each in made:
                each.close()


_SESSION: pytest.StashKey[Session] = pytest.StashKey()
_RESULTS: list[dict[str, Any]] = []
"""What came of each test of the suite in this run of pytest."""
_LISTS: pytest.StashKey[dict[str, list[tuple[str, str]]]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Markers, and the lists of skips and expected failures. Raises `pytest.UsageError` where one cannot be read."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    lists = {}
    _RESULTS.clear()
    _check_options(config)
    for option in ("skips", "xfails"):
        given = config.getoption(f"--{option}")
        lists[option] = _read_list(Path(given)) if given else []
    config.stash[_LISTS] = lists


def _check_options(config: pytest.Config) -> None:
    if config.getoption("--examples") < 1:
        raise pytest.UsageError(f"--examples {config.getoption('--examples')}: at least 1")
    if config.getoption("--limit") <= 0:
        raise pytest.UsageError(f"--limit {config.getoption('--limit'):g}: more than 0 seconds")
    for option in ("--conformance-report", "--emit-test"):
        given = config.getoption(option)
        if given and not Path(given).absolute().parent.is_dir():
            raise pytest.UsageError(f"{option} {given}: there is no such folder")
    names = {option: chosen(config, option) for option in ("--era", "--scenario", "--conformance-property")}
    if not any(names.values()):
        return
    from oom_spec.eras import find_era
    from oom_spec.language import SpecError
    from oom_spec.properties import find_properties
    from oom_spec.scenarios import find_scenario

    find: dict[str, Callable[[str], object]] = {"--era": find_era, "--scenario": find_scenario}
    try:
        for option, several in names.items():
            for name in several:
                find.get(option, find_properties)(name)
    except SpecError as problem:
        raise pytest.UsageError(str(problem)) from None


def _read_list(path: Path) -> list[tuple[str, str]]:
    """(pattern, reason) per line: ``test_lockstep[E7-*]  # why``."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise pytest.UsageError(f"{path} cannot be read: {problem}") from None
    found = []
    for line in lines:
        pattern, _, reason = line.partition("#")
        if pattern.strip():
            found.append((pattern.strip(), reason.strip() or f"listed in {path.name}"))
    return found


def session_of(config: pytest.Config) -> Session:
    """The run's session, made when the suite's tests are first collected.

    Raises `pytest.UsageError` where the implementation cannot be made.
    """
    if _SESSION not in config.stash:
        from oom_conformance.interface import REFERENCE, VARIABLE, Capabilities, find_implementation
        from oom_spec.language import SpecError

        name = config.getoption("--implementation") or os.environ.get(VARIABLE) or REFERENCE
        try:
            make = find_implementation(name)
            capabilities = make().capabilities()
        except SpecError as problem:
            raise pytest.UsageError(str(problem)) from None
        except (Exception, SystemExit) as problem:  # noqa: BLE001 - an implementation may raise anything
            raise pytest.UsageError(f"the implementation cannot be asked for its capabilities: {problem}") from None
        if not isinstance(capabilities, Capabilities):
            raise pytest.UsageError(f"the implementation's capabilities are {capabilities!r}, not a Capabilities")
        emit = config.getoption("--emit-test")
        config.stash[_SESSION] = Session(
            make,
            capabilities,
            bool(config.getini("strict")),
            config.getoption("--examples"),
            name,
            Path(emit) if emit else None,
            config.getoption("--limit"),
        )
    return config.stash[_SESSION]


@pytest.fixture(scope="session")
def conformance(pytestconfig: pytest.Config) -> Session:
    """The implementation under test and what it can do."""
    return session_of(pytestconfig)


def chosen(config: pytest.Config, option: str) -> Sequence[str]:
    """The values of an option that may be repeated."""
    values: list[str] = config.getoption(option)
    return values


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The implementation; skips and expected failures from the files.

    Raises `pytest.UsageError` where there is no such implementation, or a line of a file fits no test.
    """
    if any(map(_is_ours, items)):
        session_of(config)
    narrowed = any(config.getoption(option) for option in ("--era", "--scenario", "--conformance-property"))
    lists = config.stash[_LISTS]
    for option, entries in lists.items():
        for pattern, reason in entries:
            fitting = [item for item in items if _fits(item.name, pattern)]
            if not fitting and not narrowed:
                raise pytest.UsageError(f"--{option}: no test is called {pattern}: take the line out, or mend it")
            mark = (
                pytest.mark.skip(reason=reason) if option == "skips" else pytest.mark.xfail(reason=reason, strict=True)
            )
            for item in fitting:
                item.add_marker(mark)


def _is_ours(item: pytest.Item) -> bool:
    """A test of the suite; other projects may have markers of the same names."""
    return "conformance" in getattr(item, "fixturenames", ())


def _fits(name: str, pattern: str) -> bool:
    """Shell patterns, in which ``[`` means itself: ids have it."""
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Note what came of a test of the suite."""
    report: pytest.TestReport = yield
    if not _is_ours(item):
        return report
    if report.when == "call" or (report.when == "setup" and report.outcome != "passed"):
        names = {name: item.get_closest_marker(name) for name in ("era", "scenario", "conformance_property")}
        # plain data, which travels with the report where tests run in several processes
        found = {
            "test": item.name,
            **{name.removeprefix("conformance_"): mark.args[0] for name, mark in names.items() if mark is not None},
            "outcome": _outcome(report),
            "seconds": round(report.duration, 3),
            "why": _why(report, call),
        }
        vars(report)["conformance"] = found
    return report


@pytest.hookimpl
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what came of a test, wherever it ran."""
    found = getattr(report, "conformance", None)
    if found is not None:
        _RESULTS.append(found)


UNEXPECTED = "[XPASS(strict)]"


def _outcome(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, str) and report.longrepr.startswith(UNEXPECTED):
        return "unexpected pass"
    if hasattr(report, "wasxfail"):
        return "expected failure"
    return report.outcome


def _why(report: pytest.TestReport, call: pytest.CallInfo[None]) -> str:
    if isinstance(report.longrepr, str) and report.longrepr.startswith(UNEXPECTED):
        return report.longrepr
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(call.excinfo.value) if call.excinfo is not None else ""


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the JSON report, if one was asked for."""
    given = session.config.getoption("--conformance-report")
    if not given or not _RESULTS or hasattr(session.config, "workerinput"):
        return
    run = session_of(session.config)
    counts: dict[str, int] = {}
    for result in _RESULTS:
        counts[result["outcome"]] = counts.get(result["outcome"], 0) + 1
    able = run.capabilities
    Path(given).write_text(
        json.dumps(
            {
                "schema": SCHEMA,
                "implementation": {"name": able.name, "chosen": run.name, "protocol": able.version},
                "strict": run.strict,
                "examples": run.examples,
                "seconds": round(time.time() - run.started, 3),
                "counts": counts,
                "tests": _RESULTS,
            },
            indent=1,
        )
        + "\n",
        "utf-8",
    )

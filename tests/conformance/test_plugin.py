"""The suite as a pytest plugin: ids, choices, capabilities, lists and the report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import oom_conformance
import oom_spec
from oom_conformance.validating import check

Run = Callable[..., subprocess.CompletedProcess[str]]

LIMITED = '''
from oom_conformance.interface import Capabilities
from oom_conformance.reference import Reference


class OnlyE6(Reference):
    def capabilities(self):
        return Capabilities("only E6", eras=("E6",), scenarios=("stuck",), observes=("Mm.oom_skip", "Task.has_mm"))

    def reset(self, era, world):
        self.all = list(super().reset(era, world))
        return [name for name in self.all if name.endswith((".oom_skip", ".has_mm"))]

    def observe(self):
        values = dict(zip(self.all, super().observe()))
        return [value for name, value in values.items() if name.endswith((".oom_skip", ".has_mm"))]


class Old(Reference):
    """The code of v4.14 in the place of v4.15's."""

    def __init__(self):
        from oom_conformance.reference.releases import RELEASES

        super().__init__({"E6": RELEASES["E5"]})


class Hanging(Reference):
    """Never comes back from unlocking oom_lock."""

    def run(self, action):
        while "mutex_unlock(oom_lock)" in action:
            pass
        super().run(action)


class Broken(Reference):
    def capabilities(self):
        raise RuntimeError("no licence")
'''


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "limited.py").write_text(LIMITED)
    packages = (str(Path(package.__file__ or "").parents[1]) for package in (oom_conformance, oom_spec))
    paths = os.pathsep.join([str(tmp_path), *packages])

    def run_suite(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", "-q", "-rA"]
        loaded = [] if installed() else ["-p", "oom_conformance.plugin"]
        return subprocess.run(
            [*command, *loaded, "--pyargs", "oom_conformance", "--examples", "2", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run_suite


def installed() -> bool:
    from importlib.metadata import entry_points

    return any(point.name == "oom_conformance" for point in entry_points(group="pytest11"))


def test_ids_follow_eras_scenarios_and_properties_and_the_report_lists_them(run: Run, tmp_path: Path) -> None:
    done = run("--era", "v4.15", "--scenario", "single", "--scenario", "stuck", "--conformance-report", "report.json")
    assert done.returncode == 0, done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["schema"] == 1
    assert report["counts"] == {"passed": len(report["tests"])}
    names = [test["test"] for test in report["tests"]]
    assert names[:2] == ["test_lockstep[E6-single]", "test_lockstep[E6-stuck]"]
    race = next(test for test in report["tests"] if test["test"].startswith("test_race"))
    assert race["test"] == f"test_race[{race['property']}-E6-{race['scenario']}]"
    check(report, "report-1.schema.json")


def test_what_is_not_claimed_is_skipped_and_fails_if_strict(run: Run) -> None:
    chosen = ("--era", "E6", "--era", "E7", "--scenario", "stuck", "--implementation", "limited:OnlyE6")
    done = run(*chosen)
    assert done.returncode == 0, done.stdout
    assert "SKIPPED" in done.stdout
    assert "only E6 does not implement E7" in done.stdout
    strict = run(*chosen, "--strict")
    assert strict.returncode == 1
    assert "only E6 does not implement E7" in strict.stdout


def test_a_wrong_implementation_fails_with_its_schedule_and_a_test_is_emitted(run: Run, tmp_path: Path) -> None:
    done = run(
        *("--era", "E6", "--scenario", "stuck", "--implementation", "limited:Old", "--junit-xml", "junit.xml"),
        *("--emit-test", "test_emitted.py"),
    )
    assert done.returncode == 1
    assert "mm0.oom_victim: true expected, false seen" in done.stdout
    assert "set TIF_MEMDIE" in done.stdout
    assert "test_lockstep[E6-stuck]" in (tmp_path / "junit.xml").read_text()
    assert "limited:Old" in (tmp_path / "test_emitted.py").read_text()


def test_an_implementation_that_hangs_fails_with_its_schedule(run: Run) -> None:
    done = run("--era", "E6", "--scenario", "stuck", "--implementation", "limited:Hanging", "--limit", "3")
    assert done.returncode == 1
    assert "no answer within 3 s to the last of these steps" in done.stdout
    assert "1 killer.__alloc_pages_may_oom.__alloc_pages_slowpath[fails](killer)" in done.stdout


def test_lists_of_skips_and_expected_failures_are_kept_to(run: Run, tmp_path: Path) -> None:
    (tmp_path / "xfails").write_text("test_lockstep[E6-*]  # has the code of v4.14\n")
    (tmp_path / "skips").write_text("# races later\n\ntest_race[*]\n")
    chosen = ("--era", "E6", "--scenario", "stuck", "--implementation", "limited:Old", "--examples", "10")
    done = run(*chosen, "--xfails", "xfails", "--skips", "skips")
    assert done.returncode == 0, done.stdout
    assert "has the code of v4.14" in done.stdout
    assert "listed in skips" in done.stdout
    repaired = run("--era", "E6", "--scenario", "stuck", "--xfails", "xfails", "--conformance-report", "report.json")
    assert repaired.returncode == 1
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["tests"][0]["outcome"] == "unexpected pass"
    assert report["implementation"]["chosen"] == "reference"
    (tmp_path / "skips").write_text("test_lockstep[E99-single]\n")
    assert run(*chosen, "--skips", "skips", "-k", "test_lockstep").returncode == 1  # narrowed: it may fit elsewhere
    unknown = run("--collect-only", "--skips", "skips")
    assert unknown.returncode == 4
    assert "ERROR: --skips: no test is called test_lockstep[E99-single]" in unknown.stdout + unknown.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--implementation", "nowhere:Class"), "implementation 'nowhere:Class' cannot be imported"),
        (("--implementation", "nothing"), "unknown implementation 'nothing'"),
        (("--implementation", "limited:Broken"), "cannot be asked for its capabilities: no licence"),
        (("--skips", "nowhere"), "nowhere cannot be read"),
        (("--examples", "0"), "--examples 0: at least 1"),
        (("--limit", "-1"), "--limit -1: more than 0 seconds"),
        (("--scenario", "stick"), "unknown scenario 'stick'; did you mean 'stuck'?"),
        (("--conformance-property", "ZZ9"), "unknown property 'ZZ9'"),
        (("--emit-test", "nowhere/test_it.py"), "--emit-test nowhere/test_it.py: there is no such folder"),
    ],
)
def test_a_mistake_is_one_line(run: Run, arguments: tuple[str, ...], message: str) -> None:
    done = run("--era", "E6", "--scenario", "stuck", *arguments)
    assert done.returncode == 4
    lines = [line for line in (done.stdout + done.stderr).splitlines() if message in line]
    assert len(lines) == 1
    assert "Traceback" not in done.stdout + done.stderr


def test_a_marker_of_another_project_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("import pytest\n\n@pytest.mark.era\ndef test_other():\n    pass\n")
    done = run("test_other.py", "--era", "E6", "--scenario", "stuck", "-k", "other")
    assert done.returncode == 0, done.stdout


def test_tests_in_several_processes_give_one_report(run: Run, tmp_path: Path) -> None:
    done = run("--era", "E6", "--scenario", "stuck", "--conformance-report", "report.json", "-n", "2")
    assert done.returncode == 0, done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(report["tests"]) > 1
    assert len({test["test"] for test in report["tests"]}) == len(report["tests"])


def test_the_environment_names_an_implementation(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOMSPEC_IMPLEMENTATION", "limited:Old")
    assert run("--era", "E6", "--scenario", "stuck").returncode == 1

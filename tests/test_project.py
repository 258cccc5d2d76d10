"""The frame itself: what is tracked, the lock, the layers, the Makefile, the set-up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("spec/oom_spec", "smt/oom_smt", "conformance/oom_conformance", "cli/oomspec")
LONGEST = 600

# Written so that this file does not contain what it looks for.
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:[w]ork|[t]mp|[r]oot|[h]ome)/[A-Za-z.]")
REGISTRY_HOSTS = re.compile(r"pypi[.]org|[p]ythonhosted|registry[.]npmjs")


def tracked() -> list[Path]:
    """The files under version control that exist, or all that are not hidden where this is no clone."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607 - git, wherever it is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        return [path for path in ROOT.rglob("*") if path.is_file() and "/." not in str(path.relative_to(ROOT.parent))]
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins() -> dict[str, str]:
    """Each requirement of the lock with its lines."""
    found: dict[str, str] = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", (ROOT / "requirements.lock").read_text(encoding="utf-8")):
        lines = "\n".join(line for line in block.splitlines() if not line.lstrip().startswith("#"))
        if lines.strip():
            found[lines.split()[0]] = lines
    return found


def normal(requirement: str) -> str:
    """``typing_extensions>=4`` is ``typing-extensions``."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name[0]).lower()


# -- what is tracked -------------------------------------------------------------------------


def test_no_source_file_is_longer_than_600_lines() -> None:
    counts = {path: len((text_of(path) or "").splitlines()) for path in tracked() if path.suffix == ".py"}
    assert any(path.is_relative_to(ROOT / "spec") for path in counts)
    assert {str(path.relative_to(ROOT)): count for path, count in counts.items() if count > LONGEST} == {}


@pytest.mark.parametrize(
    ("pattern", "hit"),
    [(MACHINE_PATHS, f"see /{'work'}/main"), (REGISTRY_HOSTS, f"https://{'pypi'}.org/simple")],
    ids=["machine paths", "registry hosts"],
)
def test_no_tracked_file_names(pattern: re.Pattern[str], hit: str) -> None:
    assert pattern.search(hit)
    lines = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tracked()
        for number, line in enumerate((text_of(path) or "").splitlines(), 1)
        if pattern.search(line)
    ]
    assert lines == []


def test_made_files_are_ignored() -> None:
    made = {".venv/", ".make/", "build/", "dist/", ".hypothesis/", ".mypy_cache/", ".coverage", "htmlcov/"}
    assert made - set((ROOT / ".gitignore").read_text(encoding="utf-8").split()) == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_typed_and_in_the_wheel(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()
    assert package in project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


# -- the lock --------------------------------------------------------------------------------


def test_every_pin_of_the_lock_is_exact_and_has_a_hash() -> None:
    assert len(pins()) > 20
    assert [pin for pin in pins() if not re.fullmatch(r"[a-z0-9-]+==[0-9][A-Za-z0-9.+!]*", pin)] == []
    assert [pin for pin, lines in pins().items() if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", lines)] == []


def test_the_lock_holds_no_address_and_no_option() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert re.findall(r"\S*(?:://|@ |-index|find-links|trusted-host)\S*", lock) == []
    assert [line for line in lock.splitlines() if line.startswith("-")] == []


def test_the_lock_pins_everything_that_pyproject_asks_for() -> None:
    frame = project()
    asked = [
        *frame["project"]["dependencies"],
        *frame["build-system"]["requires"],
        *frame["dependency-groups"]["dev"],
    ]
    assert {normal(each) for each in asked} - {normal(pin) for pin in pins()} == set()


def test_the_lock_serves_the_oldest_supported_python() -> None:
    assert project()["project"]["requires-python"] == ">=3.11"
    assert "--python-version 3.11 " in (ROOT / ".ci" / "lock").read_text(encoding="utf-8")


# -- the layers ------------------------------------------------------------------------------


def test_the_layers_are_declared() -> None:
    contracts = project()["tool"]["importlinter"]["contracts"]
    assert [c["layers"] for c in contracts if c["type"] == "layers"] == [
        ["oomspec", "oom_conformance | oom_smt", "oom_spec"]
    ]
    forbidden = {tuple(c["source_modules"]): set(c["forbidden_modules"]) for c in contracts if c["type"] == "forbidden"}
    assert {"z3", "hypothesis", "click", "rich"} <= forbidden[("oom_spec",)]


def test_importing_the_spec_loads_no_solver_test_framework_or_terminal() -> None:
    code = (
        "import sys, oom_spec.eras, oom_spec.properties, oom_spec.scenarios, oom_spec.exploring\n"
        "oom_spec.eras.all_eras()\n"
        "print(sorted({'z3', 'hypothesis', 'pytest', 'click', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# -- the Makefile and CI ---------------------------------------------------------------------


def make(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """``make`` in the project, as from a shell: nothing of an outer make leaks in."""
    outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],  # noqa: S607 - make, wherever it is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**environment, **variables},
    )


def test_make_help_documents_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    phony = set(re.findall(r"^\.PHONY: ([a-z-]+)$", makefile, flags=re.MULTILINE))
    shown = re.findall(r"^make ([a-z-]+) +\S.+$", make("help").stdout, flags=re.MULTILINE)
    assert {"prove", "check", "lint", "types", "layers", "lock", "lock-check", "bench", "coverage", "clean"} <= targets
    assert sorted(shown) == sorted(targets) == sorted(phony)


def test_ci_runs_every_check() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    parts = re.findall(r"^part ([a-z-]+) ", script, flags=re.MULTILINE)
    assert sorted(parts) == ["check", "layers", "lint", "lock-check", "types", "wheel-check"]


@pytest.mark.parametrize("script", ["run", "environment", "lock", "tools", "wheel-check"])
def test_ci_scripts_can_be_run_and_stop_at_the_first_error(script: str) -> None:
    path = ROOT / ".ci" / script
    assert os.access(path, os.X_OK)
    assert re.search(r"^set -euo? ?(pipefail)?$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_an_unfit_python_is_one_clear_line(tmp_path: Path) -> None:
    done = make("environment", f"VENV={tmp_path / 'none'}", "PYTHON=no-such-python")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        "error: PYTHON=no-such-python is no Python 3.11 or newer: name one, as in `make check PYTHON=python3.12`"
    )


def test_no_python_at_all_is_one_clear_line(tmp_path: Path) -> None:
    for tool in ("sh", "make", "cksum", "cat", "dirname", "mkdir"):
        found = next(p for d in os.environ["PATH"].split(os.pathsep) if (p := Path(d) / tool).exists())
        (tmp_path / tool).symlink_to(found)
    done = make("environment", f"VENV={tmp_path / 'none'}", PATH=str(tmp_path), PYTHON="")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        "error: no Python 3.11 or newer on PATH: install one, or name it, "
        "as in `make check PYTHON=/opt/python3.12/bin/python3`"
    )


# -- the tests -------------------------------------------------------------------------------


def test_hypothesis_is_reproducible_in_ci() -> None:
    profile = settings.get_profile("ci")
    assert (profile.derandomize, profile.deadline, profile.database) == (True, None, None)


def test_changelog_has_the_current_version_or_an_unreleased_one() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in changelog or f"## [{project()['project']['version']}]" in changelog


def test_decision_records_are_numbered_complete_and_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    records = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    index = (folder / "README.md").read_text(encoding="utf-8")
    assert [path.name[:4] for path in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    for path in records:
        headings = re.findall(r"^## (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert headings == ["Context", "Options", "Decision", "Consequences"], path.name
        assert f"({path.name})" in index

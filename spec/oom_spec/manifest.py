"""The manifest: the one place where expected verdicts are recorded.

It is compared with what a run computed, and never consulted to produce a verdict.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import attrs

from oom_spec.language.errors import SpecError
from oom_spec.verdicts import Cell, Word


@attrs.frozen(eq=False)
class Expected:
    """What is expected of one property in one era."""

    word: Word
    violated_in: Mapping[str, int]
    """Scenario and depth of each violation."""
    strictly_in: Mapping[str, int]
    """Scenario and depth of each violation that only an excuse (N3) covers."""
    known: str
    """The commit, CVE or mail that knew of the violation; ``finding`` where nobody seems to have."""
    unbounded: Word | None = None
    """What `oomspec matrix --unbounded` says; None where it is not compared."""

    @property
    def text(self) -> str:
        """``violated (sharer 48, foreign-user 43)``"""
        if not self.violated_in:
            return self.word.value
        where = ", ".join(f"{name} {depth}" for name, depth in sorted(self.violated_in.items()))
        return f"{self.word.value} ({where})"


def differences(cell: Cell, expected: Expected | None) -> list[str]:
    """How a computed cell differs from the manifest; empty where it agrees.

    Only the scenarios that were run are compared.
    """
    if expected is None:
        return ["the manifest has no entry"]
    found: list[str] = []
    run = {verdict.scenario: verdict for verdict in cell.verdicts}
    for name, verdict in run.items():
        if verdict.word is Word.UNKNOWN:
            found.append(f"{name}: {verdict.text}, {verdict.reason}".rstrip(", "))
            continue
        depth = verdict.depth if verdict.word is Word.VIOLATED else None
        if depth != expected.violated_in.get(name):
            was = expected.violated_in.get(name)
            found.append(f"{name}: {verdict.text}, expected {'violated at ' + str(was) if was else 'no violation'}")
        excused = verdict.strict_depth if verdict.strict is Word.VIOLATED and depth is None else None
        if excused != expected.strictly_in.get(name):
            wanted = expected.strictly_in.get(name)
            found.append(f"{name}: excused at {excused}, expected {f'excused at {wanted}' if wanted else 'no excuse'}")
    complete = set(expected.violated_in) | set(expected.strictly_in) <= set(run)
    if complete and cell.word is not expected.word and not found:
        found.append(f"{cell.word.value}, expected {expected.word.value}")
    return found


@cache
def load() -> tuple[Mapping[tuple[str, str], Expected], Mapping[str, str]]:
    """The expected cells by (era id, property id), and the expected outcome of each part of a claim.

    Raises `SpecError` where the file is damaged.
    """
    try:
        raw = tomllib.loads(files("oom_spec").joinpath("expected.toml").read_text("utf-8"))
        cells = {
            (era, subject): Expected(
                Word(entry["verdict"]),
                entry.get("violated_in", {}),
                entry.get("excused_in", {}),
                entry.get("known", ""),
                Word(entry["unbounded"]) if "unbounded" in entry else None,
            )
            for era, subjects in raw["matrix"].items()
            for subject, entry in subjects.items()
        }
        return cells, dict(raw["claims"])
    except (OSError, tomllib.TOMLDecodeError, KeyError, ValueError, AttributeError) as damage:
        raise SpecError(f"the manifest expected.toml is damaged ({damage}); reinstall oomspec") from damage


def expected_cell(era: str, subject: str) -> Expected | None:
    """What the manifest says of one cell."""
    return load()[0].get((era, subject))


def as_toml(cells: Mapping[tuple[str, str], Cell], claims: Mapping[str, str]) -> str:
    """Computed cells and claim outcomes in the form of the manifest, for `make manifest`."""
    known = {key: entry.known for key, entry in load()[0].items()}
    unbounded = {key: entry.unbounded for key, entry in load()[0].items()}
    lines = [
        "# Expected verdicts. Compared with what a run computed, never consulted to produce one.",
        "# `known`: the commit, CVE or mail that knew of a violation, or `finding`.",
        "",
        "schema = 1",
    ]
    for (era, subject), cell in cells.items():
        lines += ["", f'[matrix."{era}"."{subject}"]', f'verdict = "{cell.word.value}"']
        if cell.violated_in:
            lines.append(f"violated_in = {_table(cell.violated_in)}")
        excused = {
            v.scenario: v.strict_depth
            for v in cell.verdicts
            if v.strict is Word.VIOLATED and v.word is not Word.VIOLATED and v.strict_depth is not None
        }
        if excused:
            lines.append(f"excused_in = {_table(excused)}")
        if not cell.violated_in and (word := unbounded.get((era, subject))) is not None:
            lines.append(f'unbounded = "{word.value}"')
        if cell.violated_in:
            lines.append(f'known = "{known.get((era, subject)) or "finding"}"')
    lines += ["", "[claims]", *(f'"{part}" = "{outcome}"' for part, outcome in claims.items())]
    return "\n".join(lines) + "\n"


def _table(depths: Mapping[str, int]) -> str:
    return "{ " + ", ".join(f"{name} = {depth}" for name, depth in sorted(depths.items())) + " }"

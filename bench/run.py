"""Run every benchmark and print a table: ``python -m bench.run [--rounds N] [--json FILE] [--strict]``.

A benchmark is a function ``rows(rounds)`` in a module of this package, found by being there. Exit
status 0 where everything could be measured; with ``--strict`` only if every target is met too.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import platform
import sys
from pathlib import Path

import attrs
import click

import bench
from bench.measuring import Row
from oom_spec.language.errors import SpecError

SCHEMA = 1


def benchmarks() -> list[str]:
    """The names of the modules of this package that measure something, in alphabetical order."""
    names = sorted(info.name for info in pkgutil.iter_modules(bench.__path__) if info.name not in ("run", "measuring"))
    return [name for name in names if hasattr(importlib.import_module(f"bench.{name}"), "rows")]


def table(rows: list[Row]) -> str:
    """The rows as aligned text."""
    lines = [("what", "median", "range", "target", "")]
    for row in rows:
        verdict = {None: "", True: "met", False: "MISSED"}[row.met]
        target = "" if row.target is None else f"{row.better.value} {row.target:,g} {row.unit}"
        spread = f"{_number(min(row.samples))} .. {_number(max(row.samples))}"
        lines.append((row.name, f"{_number(row.figure)} {row.unit}", spread, target, verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1), help="Samples per figure.")
@click.option("--json", "target", type=click.Path(path_type=Path), help="Also write the figures to this file.")
@click.option("--only", type=click.Choice(benchmarks()), multiple=True, help="Run these benchmarks only.")
@click.option("--strict", is_flag=True, help="Exit with 1 where a target is missed.")
def main(rounds: int, target: Path | None, only: tuple[str, ...], strict: bool) -> None:
    """Measure and print; nothing is written without --json."""
    rows: list[Row] = []
    failed = False
    for name in only or benchmarks():
        try:
            rows += importlib.import_module(f"bench.{name}").rows(rounds)
        except SpecError as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            failed = True
    print(table(rows))
    print(f"medians of {rounds} rounds; Python {platform.python_version()} on {platform.machine()}")
    if target is not None:
        figures = [
            {**attrs.asdict(row), "better": row.better.value, "median": row.figure, "met": row.met} for row in rows
        ]
        record = {"schema": SCHEMA, "python": platform.python_version(), "machine": platform.machine(), "rows": figures}
        target.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    sys.exit(1 if failed or (strict and any(row.met is False for row in rows)) else 0)


if __name__ == "__main__":
    main()

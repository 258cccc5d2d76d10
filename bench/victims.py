"""Time against the number of victims: ``python -m bench.victims [--victims N] [--plot FILE] [--json FILE]``.

Each world has so many victims, one thread each, and one OOM killer that may pick any of them; nothing ends the
run early. A curve is a way to decide; add one by adding a function to `curves`. What does not come to an end
within the budget is a lower bound, and is printed and drawn as one. Medians of several rounds; all times begin
with the lifted instance, which all ways share. A proof by induction speaks of any number of victims: its time is
measured anew beside each number, and should be the same.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import attrs
import click

from bench.measuring import Row
from bench.plotting import Curve, Point, plot
from oom_smt.proving import find_invariant, prove
from oom_spec.aiger import as_binary
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration
from oom_spec.hardware import circuit_of
from oom_spec.instances import Instance
from oom_spec.language import Property, Scenario, make
from oom_spec.language.errors import SpecError
from oom_spec.properties import find_properties
from oom_spec.protocol.state import Mm
from oom_spec.scenarios.worlds import ONE_PAGE, ONE_THREAD, REAPER, bounds, killer, process, world
from oom_spec.verdicts import Word

ERA = "v4.15"
EASY = ("N2x", "S9")
"""Properties with a short inductive argument."""
HARD = ("N1s",)
"""What the mail asks for: no needless kill. Its argument leans on the whole protocol."""
ANY = (*EASY, "S1")
"""Properties that are proved for any number of victims."""
MOST = 1_500_000
"""States after which the explorer gives up: about half a gigabyte."""
ABC = shutil.which("berkeley-abc") or shutil.which("yosys-abc")


def victims(number: int) -> Scenario:
    """A world with so many processes that the OOM killer may pick, each with an mm and one page of its own."""
    names = [f"P{each}" for each in range(1, number + 1)]
    return Scenario(
        id=f"victims-{number}",
        why="As many victims as wanted, one after another, for one OOM killer.",
        objects=world(
            REAPER,
            killer(eligible=tuple(names)),
            *(make(Mm, f"mm{each}", reapable=1, flush_skipped=True) for each in range(number)),
            *(process(name, f"mm{each}") for each, name in enumerate(names)),
        ),
        bounds=bounds(),
        limits=(ONE_THREAD, ONE_PAGE),
    )


@attrs.frozen
class Took:
    """One decision."""

    seconds: float
    decided: bool
    """False: the budget ended it."""


Way = Callable[[Instance, Sequence[Property], float], Took]


def explored(instance: Instance, properties: Sequence[Property], budget: float) -> Took:
    """By visiting every state."""
    started = time.perf_counter()
    found = Exploration(
        instance, properties, most=MOST, stop=lambda: time.perf_counter() - started > budget, keep_edges=False
    )
    broken = [name for name, finding in found.findings.items() if finding.violated is not None]
    if broken:
        raise SpecError(f"{', '.join(broken)} is violated in {instance.scenario.id}: it is no proof that is measured")
    return Took(time.perf_counter() - started, not found.truncated)


def checked(instance: Instance, properties: Sequence[Property], budget: float) -> Took:
    """By ABC's property-directed reachability, on the exported circuit."""
    assert ABC is not None
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "circuit.aig").write_bytes(as_binary(circuit_of(instance, properties)))
        command = [ABC, "-q", "read_aiger circuit.aig; pdr"]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, check=False, timeout=max(1.0, budget)
            )
        except subprocess.TimeoutExpired:
            return Took(time.perf_counter() - started, False)
    if "Property proved" not in done.stdout:
        raise SpecError(f"ABC does not prove {instance.scenario.id}: {done.stdout.strip() or done.stderr.strip()}")
    return Took(time.perf_counter() - started, True)


def proved(instance: Instance, properties: Sequence[Property], budget: float) -> Took:
    """For any number of victims: recorded lemmas are shown anew to be inductive, and give the properties."""
    started = time.perf_counter()
    invariant = find_invariant(instance.era)
    for subject in properties:
        if prove(invariant, subject).word is not Word.PROVED:
            raise SpecError(f"{subject.id} is not proved in {instance.era.id}: it is no proof that is measured")
    return Took(time.perf_counter() - started, True)


def curves() -> list[tuple[str, Way, tuple[str, ...]]]:
    """What is measured: a label, a way to decide, and the properties that it decides."""
    found: list[tuple[str, Way, tuple[str, ...]]] = [
        (f"explorer: {', '.join((*EASY, *HARD))}", explored, (*EASY, *HARD)),
        (f"induction, any number: {', '.join(ANY)}", proved, ANY),
    ]
    if ABC is not None:
        found += [(f"ABC pdr: {', '.join(names)}", checked, names) for names in (EASY, HARD)]
    return found


def measure(most: int, rounds: int, budget: float) -> list[Curve]:
    """Every curve, up to ``most`` victims; one that was cut short once is not asked for more victims."""
    era = find_era(ERA)
    circuit_of(Instance(era, victims(1)), find_properties(EASY[0]))  # once for all: which properties the era has
    points: dict[str, list[Point]] = {label: [] for label, _, _ in curves()}
    for number in range(1, most + 1):
        instance = Instance(era, victims(number))
        _ = instance.paths
        for label, way, names in curves():
            if points[label] and not points[label][-1].exact:
                continue
            properties = [subject for name in names for subject in find_properties(name)]
            took = [way(instance, properties, budget) for _ in range(rounds)]
            point = Point(number, median(each.seconds for each in took), all(each.decided for each in took))
            points[label].append(point)
            print(f"{label}, {number}: {'' if point.exact else 'more than '}{point.seconds:.3g} s", file=sys.stderr)
    return [Curve(label, tuple(found)) for label, found in points.items()]


def table(found: Sequence[Curve]) -> str:
    """The medians, and how many times the time for one victim each is."""
    lines = [f"{'victims':32}" + "".join(f"{n:>20}" for n in range(1, 1 + max(len(c.points) for c in found)))]
    for curve in found:
        first = curve.points[0].seconds
        cells = [f"{'' if p.exact else '> '}{p.seconds:.3g} s ({p.seconds / first:,.3g} x)" for p in curve.points]
        lines.append(f"{curve.label:32}" + "".join(f"{cell:>20}" for cell in cells))
    return "\n".join(lines)


def rows(rounds: int) -> list[Row]:
    """For the table of all benchmarks: what a second victim costs, as a ratio."""
    era = find_era(ERA)
    found = []
    for label, way, names in curves():
        if way is proved:
            continue  # the same for any number
        properties = [subject for name in names for subject in find_properties(name)]
        one, two = (Instance(era, victims(number)) for number in (1, 2))
        ratios = [way(two, properties, 60).seconds / way(one, properties, 60).seconds for _ in range(rounds)]
        found.append(Row(f"{label}, {ERA}: two victims over one", tuple(ratios), "x"))
    return found


@click.command()
@click.option("--victims", "most", default=4, show_default=True, type=click.IntRange(min=1), help="How many at most.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1), help="Samples per point.")
@click.option("--budget", default=60.0, show_default=True, help="Seconds for one decision.")
@click.option("--plot", "drawing", type=click.Path(path_type=Path), help="Draw the curves to this SVG file.")
@click.option("--json", "target", type=click.Path(path_type=Path), help="Write the points to this file.")
@click.option("--from", "source", type=click.Path(path_type=Path), help="Take the points from this file.")
def main(most: int, rounds: int, budget: float, drawing: Path | None, target: Path | None, source: Path | None) -> None:
    """Measure and print; nothing is written without --plot or --json."""
    if source is not None:
        found = [
            Curve(each["label"], tuple(Point(**point) for point in each["points"]))
            for each in json.loads(source.read_text("utf-8"))["curves"]
        ]
    else:
        found = measure(most, rounds, budget)
    print(table(found))
    print(f"medians of {rounds} rounds" if source is None else f"from {source}")
    if target is not None:
        record = {"schema": 1, "curves": [attrs.asdict(curve) for curve in found]}
        target.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    if drawing is not None:
        title = f"Deciding {', '.join((*EASY, *HARD))} in {ERA}, by the number of victims"
        drawing.write_text(plot(title, "victims", found), "utf-8")


if __name__ == "__main__":
    main()

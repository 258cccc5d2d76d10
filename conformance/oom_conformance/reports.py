"""What a campaign has come to: rows of a table, what was found, and the same as JSON, HTML and JUnit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from html import escape
from xml.sax.saxutils import quoteattr

import attrs

from oom_conformance.campaigns import DIVERGENCE, FAILING, RACE, UNEXPECTED, UNRECORDED, Campaign, Trouble
from oom_conformance.emitting import NoAnswer, Violation, diagram, diagram_from_cold, to_pytest
from oom_conformance.oracle import oracle_of
from oom_conformance.reaching import Reach
from oom_conformance.shards import from_plain
from oom_conformance.store import Cell, Found
from oom_spec.language import Era
from oom_spec.manifest import expected_cell
from oom_spec.properties import PROPERTIES
from oom_spec.scenarios import find_scenario

SCHEMA = 1
"""The version of the JSON objects."""

TITLES = {
    DIVERGENCE: "the implementation and the specification part",
    UNEXPECTED: "the specification violates a property, and the manifest does not say so",
    UNRECORDED: "a property violated in an era of your own",
    RACE: "a race of the era, reproduced",
}
"""What a kind of finding means."""


@attrs.frozen
class Row:
    """An era in a campaign."""

    era: str
    tried: int
    """Scenarios with at least one shard."""
    scenarios: int
    shards: int
    runs: int
    steps: int
    seconds: float
    """Of workers, added up."""
    reachable: frozenset[str]
    """Steps that some run takes, by the explorer, in the scenarios that were tried."""
    missing: tuple[str, ...]
    """Those of them that no run took."""
    pairs_reachable: int
    pairs_taken: int
    truncated: tuple[str, ...]
    """Scenarios too large to be explored: more may be reachable there."""
    races: tuple[str, ...]
    """Properties whose violation was reproduced."""
    races_known: tuple[str, ...]
    """Those that the manifest has for the scenarios that were tried."""
    failures: int
    """Races and faults that make the campaign fail."""

    @property
    def coverage(self) -> float:
        """Percentage of the reachable steps that were taken; 100 where nothing is known."""
        return _percentage(len(self.reachable) - len(self.missing), len(self.reachable))

    @property
    def pair_coverage(self) -> float:
        """The same for pairs of steps."""
        return _percentage(self.pairs_taken, self.pairs_reachable)


@attrs.frozen
class Outcome:
    """All that is to be reported."""

    campaign: str
    implementation: str
    seed: int
    store: str
    eras: Mapping[str, Era]
    """By their ids, which say nothing of where a user's own file is."""
    limit: float
    """Seconds after which the implementation counts as hanging."""
    rows: Sequence[Row]
    cells: dict[tuple[str, str], Cell | None]
    """What was planned, by era and scenario; None where it had no turn."""
    findings: Sequence[Found]
    troubles: Sequence[Trouble]
    left_out: dict[tuple[str, str], str]
    floor: float
    pair_floor: float
    elapsed: float
    already: int
    done: int
    workers: dict[str, int]
    """Shards by worker."""
    interrupted: bool
    given_up: bool

    @property
    def failing(self) -> list[Found]:
        """What makes the campaign fail."""
        return [each for each in self.findings if each.kind in FAILING]

    @property
    def under_floor(self) -> list[str]:
        """One line for each era whose coverage is too low."""
        found = []
        for row in self.rows:
            if row.tried and row.coverage < self.floor:
                found.append(
                    f"{row.era}: {row.coverage:.1f} % of the reachable steps, under the floor of {self.floor:g} %: "
                    f"{', '.join(row.missing[:3])}{f' and {len(row.missing) - 3} more' if len(row.missing) > 3 else ''}"
                )
            if row.tried and row.pair_coverage < self.pair_floor:
                found.append(
                    f"{row.era}: {row.pair_coverage:.1f} % of the reachable pairs, "
                    f"under the floor of {self.pair_floor:g} %"
                )
        return found

    @property
    def not_reached(self) -> int:
        """Pairs of era and scenario that had no turn."""
        return sum(cell is None for cell in self.cells.values())

    @property
    def status(self) -> int:
        """1: something was found; 3: something is not known; 1: coverage is under the floor; else 0."""
        if self.failing:
            return 1
        nothing = not any(cell is not None and cell.runs for cell in self.cells.values())
        if self.troubles or self.interrupted or self.given_up or nothing:
            return 3
        return 1 if self.under_floor else 0


def _percentage(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 100.0


def summarise(campaign: Campaign, *, floor: float = 100.0, pair_floor: float = 0.0) -> Outcome:
    """What the store has of a campaign, with what went wrong in this sitting."""
    store = campaign.store
    cells = store.cells(campaign.id)
    reachable = store.reachable(campaign.sources)
    findings = store.findings(campaign.id)
    planned = {(era.id, scenario.id): cells.get((era.id, scenario.id)) for era, scenario in campaign.pairs}
    return Outcome(
        campaign=campaign.id,
        implementation=campaign.implementation,
        seed=campaign.seed,
        store=str(store.path),
        eras={era.id: era for era in campaign.eras},
        limit=campaign.limit,
        rows=[_row(era, planned, reachable, findings) for era in campaign.eras if era.id in {e for e, _ in planned}],
        cells=planned,
        findings=findings,
        troubles=campaign.troubles,
        left_out=campaign.left_out,
        floor=floor,
        pair_floor=pair_floor,
        elapsed=campaign.elapsed,
        already=campaign.already,
        done=campaign.done,
        workers=store.workers(campaign.id),
        interrupted=campaign.interrupted,
        given_up=campaign.given_up,
    )


def _row(
    era: Era,
    planned: dict[tuple[str, str], Cell | None],
    reachable: dict[tuple[str, str], Reach],
    findings: Sequence[Found],
) -> Row:
    mine = {scenario: cell for (name, scenario), cell in planned.items() if name == era.id}
    tried = {scenario: cell for scenario, cell in mine.items() if cell is not None}
    reach = {scenario: reachable[era.id, scenario] for scenario in tried if (era.id, scenario) in reachable}
    steps = frozenset().union(*(each.steps for each in reach.values()))
    pairs = frozenset().union(*(each.pairs for each in reach.values()))
    taken = frozenset().union(*(cell.taken for cell in tried.values()))
    paired = frozenset().union(*(cell.pairs for cell in tried.values()))
    found = [each for each in findings if each.era == era.id]
    return Row(
        era=era.id,
        tried=len(tried),
        scenarios=len(mine),
        shards=sum(cell.shards for cell in tried.values()),
        runs=sum(cell.runs for cell in tried.values()),
        steps=sum(cell.steps for cell in tried.values()),
        seconds=sum(cell.seconds for cell in tried.values()),
        reachable=steps,
        missing=tuple(sorted(steps - taken)),
        pairs_reachable=len(pairs),
        pairs_taken=len(pairs & paired),
        truncated=tuple(scenario for scenario, each in reach.items() if each.truncated),
        races=tuple(sorted({each.race for each in found if each.kind in (RACE, UNRECORDED)})),
        races_known=tuple(subject for subject in _judged_along() if _is_known(era, subject, tried)),
        failures=sum(each.kind in FAILING for each in found),
    )


def _judged_along() -> list[str]:
    """The properties that a run can show to be violated: no end of a run proves that nothing follows."""
    return [each.id for each in PROPERTIES if each.graph is None]


def _is_known(era: Era, subject: str, scenarios: dict[str, Cell]) -> bool:
    expected = None if era.file else expected_cell(era.id, subject)
    return expected is not None and any(scenario in expected.violated_in for scenario in scenarios)


# -- in words --------------------------------------------------------------------------------


HEADINGS = ("era", "scenarios", "shards", "runs", "steps", "steps/s", "coverage", "pairs", "races", "to report")


def texts_of(row: Row) -> tuple[str, ...]:
    """A row of the table, under `HEADINGS`."""
    cut = "+" if row.truncated else ""
    return (
        row.era,
        f"{row.tried}/{row.scenarios}",
        f"{row.shards}",
        f"{row.runs:,}",
        f"{row.steps:,}",
        f"{row.steps / row.seconds:,.0f}" if row.seconds else "-",
        _covered(len(row.reachable) - len(row.missing), len(row.reachable), cut),
        _covered(row.pairs_taken, row.pairs_reachable, cut),
        f"{len(row.races)}/{len(row.races_known)}",
        f"{row.failures or '-'}",
    )


def _covered(part: int, whole: int, cut: str) -> str:
    return f"{part}/{whole}{cut} {_rounded(_percentage(part, whole))}" if whole else "-"


def _rounded(percentage: float) -> str:
    """Never rounded up to all of it."""
    return f"{100 if percentage == 100.0 else min(percentage, 99.9):.3g} %"


def table(outcome: Outcome) -> list[str]:
    """The rows as lines of text."""
    texts = [HEADINGS, *(texts_of(row) for row in outcome.rows)]
    widths = [max(len(each[column]) for each in texts) for column in range(len(HEADINGS))]
    return [
        "  ".join(
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(each, widths, strict=True))
        ).rstrip()
        for each in texts
    ]


def by_race(findings: Sequence[Found]) -> list[list[Found]]:
    """The findings of each race, over all eras, the shortest first; what fails the campaign comes first."""
    grouped: dict[tuple[str, str], list[Found]] = {}
    for each in findings:
        grouped.setdefault((each.kind, each.race), []).append(each)
    order = list(TITLES)
    groups = [sorted(group, key=lambda each: (len(each.schedule), each.era)) for group in grouped.values()]
    return sorted(groups, key=lambda group: (order.index(group[0].kind), group[0].race))


def lines_of(found: Found) -> list[str]:
    """A finding with its schedule."""
    if found.kind == DIVERGENCE:
        return from_plain(found.facts).lines()
    told = found.facts.get("expected", "")
    lines = [f"{found.era} in {found.scenario}: {found.race} is violated after {len(found.schedule)} steps"]
    lines += [f"  the manifest says: {told}"] if told else []
    return lines + _numbered(found.schedule)


def _numbered(schedule: Sequence[str]) -> list[str]:
    return [f"    {number:3} {action}" for number, action in enumerate(schedule, 1)]


def lines_of_trouble(trouble: Trouble) -> list[str]:
    """What a shard of which nothing is known ran last."""
    return [f"  after {len(trouble.schedule)} steps:", *_numbered(trouble.schedule)]


def drawn(outcome: Outcome, found: Found | Trouble) -> list[str]:
    """The run as a diagram, below an empty line, from where the scenario starts; nothing where no step was taken.

    What hinders drawing is said in its place: it must not cost the report.
    """
    if not found.schedule:
        return []
    try:
        oracle = oracle_of(outcome.eras[found.era], find_scenario(found.scenario))
        if isinstance(found, Found) and found.kind != DIVERGENCE:
            picture = diagram(oracle, found.schedule, found.race)
        else:
            picture = diagram_from_cold(oracle, found.schedule)
    except Exception as problem:  # noqa: BLE001 - as said above
        return ["", f"  (no diagram: {type(problem).__name__}: {problem})"]
    return ["", picture.rstrip()]


def emitted(outcome: Outcome) -> str | None:
    """A pytest file for the first run that failed, else for the first in which there was no answer; None without one.

    Raises `SpecError` for an era whose file is not there any more.
    """
    for group in by_race(outcome.failing):
        first = group[0]
        oracle = oracle_of(outcome.eras[first.era], find_scenario(first.scenario))
        finding = (
            from_plain(first.facts)
            if first.kind == DIVERGENCE
            else Violation(first.era, first.scenario, first.schedule, first.race)
        )
        return to_pytest(finding, outcome.implementation, oracle)
    for trouble in outcome.troubles:
        if trouble.schedule:
            oracle = oracle_of(outcome.eras[trouble.era], find_scenario(trouble.scenario))
            silent = NoAnswer(trouble.era, trouble.scenario, trouble.schedule, trouble.reason, outcome.limit)
            return to_pytest(silent, outcome.implementation, oracle)
    return None


def place_of(group: Sequence[Found]) -> str:
    """Where a race was met, how often, and how to meet it again."""
    first = group[0]
    eras = ", ".join(dict.fromkeys(each.era for each in group))
    times = sum(each.times for each in group)
    return f"in {eras}; {times} shard{'' if times == 1 else 's'}; shard {first.number}, seed {first.seed}"


def title_of(trouble: Trouble) -> str:
    """A shard of which nothing is known, in a line."""
    return f"{'out of time' if trouble.stuck else 'lost'}: {trouble}"


def remarks(outcome: Outcome, without: Collection[Trouble] = ()) -> list[str]:
    """What else a reader must know, one line each; ``without`` are shards that are told of elsewhere."""
    found = [f"under the floor: {each}" for each in outcome.under_floor]
    found += [
        title_of(each) for each in sorted(outcome.troubles, key=lambda each: not each.stuck) if each not in without
    ]
    if outcome.given_up:
        found.append("given up: one shard after the other was lost or out of time")
    if outcome.not_reached:
        found.append(f"{outcome.not_reached} of {len(outcome.cells)} pairs of era and scenario had no turn in the time")
    for reason in sorted(set(outcome.left_out.values())):
        count = sum(each == reason for each in outcome.left_out.values())
        found.append(f"{count} pairs of era and scenario left out: {reason}")
    cut = sorted({scenario for row in outcome.rows for scenario in row.truncated})
    if cut:
        found.append(f"too large to be explored, so more may be reachable (+): {', '.join(cut)}")
    return found


def summary_line(outcome: Outcome) -> str:
    """The whole in one line."""
    runs = sum(row.runs for row in outcome.rows)
    steps = sum(row.steps for row in outcome.rows)
    races = len({(each.era, each.race) for each in outcome.findings if each.kind == RACE})
    total = outcome.done + outcome.already
    parts = [f"{total:,} shard{'' if total == 1 else 's'}", f"{runs:,} runs", f"{steps:,} steps"]
    if outcome.already:
        parts[0] += f" ({outcome.already:,} recorded before)"
    failing = len(by_race(outcome.failing))
    low = len({each.partition(":")[0] for each in outcome.under_floor})
    if failing:
        verdict = f"{failing} to report"
    elif outcome.status == 3:
        verdict = "not everything is known"
    elif low:
        verdict = f"{low} era{'' if low == 1 else 's'} under the floor"
    else:
        verdict = "nothing to report"
    return f"{', '.join(parts)}, {outcome.elapsed:.0f} s: {races} races reproduced; {verdict}"


# -- JSON ------------------------------------------------------------------------------------


def as_json(outcome: Outcome) -> Iterator[dict[str, object]]:
    """One object for each era, for each finding, for each shard that was lost, and a summary at the end."""
    for row in outcome.rows:
        yield {
            "schema": SCHEMA,
            "kind": "era",
            "era": row.era,
            "scenarios": {
                name: None if cell is None else {"shards": cell.shards, "runs": cell.runs, "steps": cell.steps}
                for (era, name), cell in outcome.cells.items()
                if era == row.era
            },
            "shards": row.shards,
            "runs": row.runs,
            "steps": row.steps,
            "seconds": round(row.seconds, 3),
            "steps_reachable": len(row.reachable),
            "steps_missing": list(row.missing),
            "pairs_reachable": row.pairs_reachable,
            "pairs_taken": row.pairs_taken,
            "truncated": list(row.truncated),
            "races": list(row.races),
            "races_known": list(row.races_known),
            "failures": row.failures,
        }
    for found in outcome.findings:
        place = attrs.asdict(found, filter=attrs.filters.exclude("kind", "schedule"))
        schedule = list(found.schedule)
        yield {"schema": SCHEMA, "kind": "finding", "finding": found.kind, **place, "schedule": schedule}
    for trouble in outcome.troubles:
        yield {"schema": SCHEMA, "kind": "trouble", **attrs.asdict(trouble), "schedule": list(trouble.schedule)}
    yield {
        "schema": SCHEMA,
        "kind": "summary",
        "campaign": outcome.campaign,
        "implementation": outcome.implementation,
        "seed": outcome.seed,
        "store": outcome.store,
        "shards": outcome.done + outcome.already,
        "recorded_before": outcome.already,
        "seconds": round(outcome.elapsed, 3),
        "workers": outcome.workers,
        "not_reached": outcome.not_reached,
        "left_out": len(outcome.left_out),
        "under_floor": outcome.under_floor,
        "interrupted": outcome.interrupted,
        "given_up": outcome.given_up,
        "status": outcome.status,
    }


# -- HTML ------------------------------------------------------------------------------------

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .25rem .7rem; text-align: right; }
th { border-bottom: 2px solid #888; } td { border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
pre { background: #f4f4f4; padding: .7rem; overflow-x: auto; } summary { cursor: pointer; }
.bad { color: #a00000; font-weight: bold; } .good { color: #006000; }
@media (prefers-color-scheme: dark) {
  body { background: #16181b; color: #e4e4e4; } pre { background: #23262a; }
  td { border-color: #3a3d42; } .bad { color: #ff8a80; } .good { color: #8fd694; }
}
"""


def as_html(outcome: Outcome) -> str:
    """One page that needs nothing beside it: no script, no font, no picture."""
    word = {0: "clean", 1: "failed", 3: "unknown"}[outcome.status]
    good = "good" if outcome.status == 0 else "bad"
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>Campaign against {escape(outcome.implementation)}: {word}</title>\n<style>{STYLE}</style>\n</head>",
        f'<body>\n<h1>Campaign against {escape(outcome.implementation)}: <span class="{good}">{word}</span></h1>',
        f"<p>{escape(summary_line(outcome))}. Seed {outcome.seed}, campaign {escape(outcome.campaign)}.</p>",
    ]
    if told := remarks(outcome):
        parts += ["<ul>", *(f"<li>{escape(each)}</li>" for each in told), "</ul>"]
    parts += ["<h2>Eras</h2>\n<table>\n<tr>", *(f'<th scope="col">{each}</th>' for each in HEADINGS), "</tr>"]
    for row in outcome.rows:
        *texts, failures = map(escape, texts_of(row))
        bad = ' class="bad"' if row.failures else ""
        cells = "".join(f"<td>{text}</td>" for text in texts)
        parts.append(f"<tr>{cells}<td{bad}>{failures}</td></tr>")
    parts.append("</table>")
    kind = ""
    for group in by_race(outcome.findings):
        if group[0].kind != kind:
            kind = group[0].kind
            title = TITLES[kind]
            parts.append(f"<h2>{escape(title[0].upper() + title[1:])}</h2>")
        opened = " open" if kind in FAILING else ""
        lines = lines_of(group[0]) + (drawn(outcome, group[0]) if kind != RACE else [])
        text = escape("\n".join(lines))
        parts.append(
            f"<details{opened}><summary><strong>{escape(group[0].race)}</strong> {escape(place_of(group))}</summary>"
            f"<pre>{text}</pre></details>"
        )
    if known := [each for each in outcome.troubles if each.schedule]:
        parts.append("<h2>What ran last in shards of which nothing is known</h2>")
        for trouble in known:
            text = escape("\n".join([*lines_of_trouble(trouble), *drawn(outcome, trouble)]))
            parts.append(f"<details><summary>{escape(str(trouble))}</summary><pre>{text}</pre></details>")
    return _allowed("\n".join([*parts, "</body>\n</html>", ""]))


# -- JUnit -----------------------------------------------------------------------------------


def as_junit(outcome: Outcome) -> str:
    """A test case for each era in each scenario, and one for the coverage of each era."""
    cases: list[str] = []
    counts = {"failure": 0, "error": 0, "skipped": 0}
    troubles = {(each.era, each.scenario): each for each in outcome.troubles}
    heads = [group[0] for group in by_race(outcome.failing)]  # the others of a group would be drawn alike

    def case(era: str, name: str, seconds: float, kind: str = "", message: str = "", text: str = "") -> None:
        start = f'  <testcase classname={quoteattr(era)} name={quoteattr(name)} time="{seconds:.3f}"'
        if not kind:
            cases.append(f"{start}/>")
            return
        counts[kind] += 1
        body = _allowed(escape(text))
        cases.append(f"{start}><{kind} message={quoteattr(_allowed(message))}>{body}</{kind}></testcase>")

    for (era, scenario), cell in outcome.cells.items():
        seconds = 0.0 if cell is None else cell.seconds
        failing = [each for each in outcome.failing if (each.era, each.scenario) == (era, scenario)]
        if failing:
            message = "; ".join(f"{each.kind}: {each.race}" for each in failing)
            text = "\n\n".join(
                "\n".join([*lines_of(each), *(drawn(outcome, each) if each in heads else [])]) for each in failing
            )
            case(era, scenario, seconds, "failure", message, text)
        elif (era, scenario) in troubles:
            trouble = troubles[era, scenario]
            lines = [*lines_of_trouble(trouble), *drawn(outcome, trouble)] if trouble.schedule else []
            case(era, scenario, seconds, "error", trouble.reason, "\n".join(lines))
        elif cell is None:
            case(era, scenario, 0.0, "skipped", "it had no turn in the time")
        else:
            case(era, scenario, seconds)
    for (era, scenario), reason in outcome.left_out.items():
        case(era, scenario, 0.0, "skipped", reason)
    for row in outcome.rows:
        under = [each for each in outcome.under_floor if each.startswith(f"{row.era}: ")]
        case(row.era, "coverage", 0.0, "failure" if under else "", "; ".join(under), "\n".join(row.missing))
    head = (
        f'<testsuite name="oomspec campaign" tests="{len(cases)}" failures="{counts["failure"]}" '
        f'errors="{counts["error"]}" skipped="{counts["skipped"]}" time="{outcome.elapsed:.3f}">'
    )
    return "\n".join(['<?xml version="1.0" encoding="utf-8"?>', head, *cases, "</testsuite>", ""])


def _allowed(text: str) -> str:
    """Without the characters that XML and HTML cannot hold: an implementation may say anything."""
    return "".join(
        each for each in text if each in "\t\n" or (" " <= each < "\ufffe" and not "\ud800" <= each <= "\udfff")
    )


__all__ = [
    "SCHEMA",
    "Outcome",
    "Row",
    "as_html",
    "as_json",
    "as_junit",
    "by_race",
    "drawn",
    "emitted",
    "lines_of",
    "lines_of_trouble",
    "place_of",
    "remarks",
    "summarise",
    "summary_line",
    "table",
    "texts_of",
    "title_of",
]

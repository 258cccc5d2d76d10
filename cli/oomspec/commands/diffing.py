"""`oomspec diff`"""

from __future__ import annotations

import ast
import difflib
import inspect
import json
import textwrap
import time
from collections.abc import Mapping, Sequence

import attrs
import click

from oom_spec.applicability import irrelevant
from oom_spec.diagrams import draw
from oom_spec.differing import (
    MOST,
    Answer,
    Change,
    Difference,
    Limits,
    Outcome,
    StepChange,
    compare,
    confirm,
    step_changes,
)
from oom_spec.eras import find_era
from oom_spec.instances import Instance
from oom_spec.language import Era, Scenario, SpecError, Step
from oom_spec.manifest import expected_cell
from oom_spec.observing import DEFAULT, OBSERVABLES, VERSION, Observable, find_observables
from oom_spec.properties import PROPERTIES
from oom_spec.reporting import Progress
from oom_spec.scenarios import SCENARIOS, find_scenario
from oom_spec.scenarios.gallery import GALLERY
from oom_spec.traces import Run, run_of, to_json
from oom_spec.verdicts import Cell, Verdict
from oomspec.advising import say_advice
from oomspec.output import Seconds, counted, json_line, progress_bar, titled, wrapped

FIRST = ("marked", "single")
"""The scenarios that are tried first: there a difference is easiest to read."""

NARROWEST = 60


@click.command()
@click.argument("old")
@click.argument("new")
@click.option(
    "--observe",
    metavar="NAME,...",
    default=",".join(DEFAULT),
    show_default=True,
    help=f"What can be observed, of: {', '.join(each.name for each in OBSERVABLES)}.",
)
@click.option(
    "--scenario",
    "names",
    metavar="NAME",
    multiple=True,
    help="Only this scenario (repeatable).  [default: marked, single, then all that are not slow, smallest first]",
)
@click.option("--timeout", type=Seconds(), default=300.0, show_default=True, help="Seconds for all searches together.")
@click.option("--most", type=click.IntRange(min=1), default=MOST, show_default=True, help="States or pairs per search.")
@click.option("--brief", is_flag=True, help="Only name the modified steps, and draw no diagram.")
@click.option("--verdicts", "compute", is_flag=True, help="Compute the verdicts that change, instead of the recorded.")
@click.option("--width", type=click.IntRange(min=NARROWEST), default=120, show_default=True, help="Of the two columns.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: steps, each search, verdicts.")
def diff(
    old: str,
    new: str,
    observe: str,
    names: tuple[str, ...],
    timeout: float,
    most: int,
    brief: bool,
    compute: bool,
    width: int,
    as_json: bool,
) -> int:
    """Compare two eras: their steps, what can be seen of their runs, and their verdicts.

    Each is an id, a release, a proposal's name or a file. A run of one that looks like no run of the
    other is drawn, both ways, the shortest in observed changes; or it is said that there is none.

    \b
    Exit status: 0 every run of each looks like a run of the other, in all scenarios tried; 1 they differ;
    3 neither was settled. Steps and verdicts do not count.
    \b
    Examples:
      oomspec diff v4.13 v4.14
      oomspec diff v4.12 v4.14 --observe skip,kills --brief
      oomspec diff v4.12 rientjes-2017-06-14 --observe skip,kills --scenario blocked-aio
    """
    eras = find_era(old), find_era(new)
    say_advice(*eras)
    observables = find_observables(name.strip() for name in observe.split(",") if name.strip())
    if not observables:
        raise SpecError("nothing to observe: name at least one of " + ", ".join(each.name for each in OBSERVABLES))
    scenarios = list(dict.fromkeys(find_scenario(name) for name in names)) or _in_order(eras)
    changes = step_changes(*eras, GALLERY)
    steps = {name: _lines(change) for name, change in ((change.id, change) for change in changes)}
    if as_json:
        json_line(_steps_json(eras, changes, steps))
    else:
        click.echo(click.style(f"{titled(eras[0])} -> {titled(eras[1])}", bold=True))
        _print_steps(changes, steps, brief=brief, width=width)
    directions = (eras, (eras[1], eras[0]))
    found: dict[int, list[Outcome]] = {0: [], 1: []}
    skipped: list[str] = []
    interrupted = False
    with progress_bar(f"diff {eras[0].id} {eras[1].id}") as progress:
        clock = _Clock(timeout, most, progress, len(scenarios))
        try:
            for number, direction in enumerate(directions):
                clock.direction = number
                skipped += _search(direction, scenarios, observables, found[number], clock, strict=bool(names))
        except KeyboardInterrupt:
            interrupted = True
    if not as_json:
        click.echo(click.style("\nBehaviour", bold=True))
        click.echo(wrapped(f"observed (list version {VERSION}): {', '.join(o.name for o in observables)}"))
    for number, direction in enumerate(directions):
        if as_json:
            for outcome in found[number]:
                json_line(_outcome_json(outcome, observables))
        else:
            _print_direction(direction, found[number], observables, brief=brief)
    for text in dict.fromkeys(skipped):
        click.echo(f"skipped: {text}", err=as_json)
    if interrupted:
        raise KeyboardInterrupt
    _verdicts(eras, scenarios, compute=compute, as_json=as_json)
    return _status(found)


def _in_order(eras: tuple[Era, Era]) -> list[Scenario]:
    """Those that say something of one of the eras, the smallest first."""
    quick = [each for each in SCENARIOS if not each.slow and not all(irrelevant(era, each) for era in eras)]
    return sorted(quick, key=lambda each: (each.id not in FIRST, each.id != FIRST[0], len(each.objects)))


def _status(found: Mapping[int, Sequence[Outcome]]) -> int:
    answers = [{each.answer for each in outcomes} for outcomes in found.values()]
    if any(Answer.DIFFERS in each for each in answers):
        return 1
    return 0 if all(Answer.NONE in each and Answer.CUT_SHORT not in each for each in answers) else 3


@attrs.define
class _Clock:
    """What all searches of one command share. Half of the time is the first direction's; the rest is the second's."""

    timeout: float
    most: int
    progress: Progress
    scenarios: int
    direction: int = 0
    done: int = 0
    """Scenarios of this direction."""
    started: float = attrs.field(factory=time.monotonic)

    def limits(self, scenario: Scenario) -> Limits:
        """Limits for one search, which tells how far it is."""

        def report(pairs: int, what: str) -> None:
            done = self.direction * self.scenarios + self.done
            self.progress(done, 2 * self.scenarios, f"{scenario.id}: {pairs} pairs, {what}")

        return Limits(ends_at=self.started + self.timeout * (self.direction + 1) / 2, most=self.most, report=report)


def _search(
    direction: tuple[Era, Era],
    scenarios: Sequence[Scenario],
    observables: Sequence[Observable],
    outcomes: list[Outcome],
    clock: _Clock,
    *,
    strict: bool,
) -> list[str]:
    """Search one direction, up to the first difference; gives the scenarios that cannot be compared, in words."""
    skipped = []
    for number, scenario in enumerate(scenarios):
        clock.done = number
        try:
            outcomes.append(compare(*direction, scenario, observables, clock.limits(scenario)))
        except SpecError as error:
            if strict or str(error).startswith("internal error"):
                raise
            skipped.append(str(error))
            continue
        if outcomes[-1].answer is Answer.DIFFERS:
            break
    return skipped


# -- steps -----------------------------------------------------------------------------------


def _lines(change: StepChange) -> tuple[list[str], list[str]]:
    """Each version of a step as lines of text; none where it does not exist."""
    return _text(change.old), _text(change.new)


def _text(step: Step | None) -> list[str]:
    """What a reviewer compares: declaration, meaning, guards and effect."""
    if step is None:
        return []
    lines = [f"kernel {step.kernel}"]
    lines += [f"commit {step.commit}"] if step.commit else []
    lines += [step.verified.value]
    if step.at is not None or step.then is not None:
        lines += [f"{'' if step.at is None else step.at.name} -> {'' if step.then is None else step.then.name}"]
    lines += [f"free choice: {step.oracle}"] if step.oracle else []
    lines += ["waits until it can be taken"] if step.waits else []
    lines += ["nobody may count on it"] if step.environment else []
    return [*lines, *(f"# {line}".rstrip() for line in step.doc.splitlines()), *_body(step)]


def _body(step: Step) -> list[str]:
    """The source of the function, without decorators and docstring."""
    try:
        source = textwrap.dedent(inspect.getsource(step.function))
    except (OSError, TypeError):
        return ["(its source cannot be read)"]
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    lines = source.splitlines()
    head = lines[function.lineno - 1 : function.body[0].lineno - 1]
    rest = lines[function.body[1].lineno - 1 :] if len(function.body) > 1 else ["    (no guard, no effect)"]
    return [*head, *rest]


def _print_steps(
    changes: Sequence[StepChange], steps: Mapping[str, tuple[list[str], list[str]]], *, brief: bool, width: int
) -> None:
    counts = ", ".join(f"{sum(each.change is kind for each in changes)} {kind.value}" for kind in Change)
    click.echo(click.style("\nSteps", bold=True) + f": {counts}")
    colours = {Change.ADDED: "green", Change.REMOVED: "red", Change.MODIFIED: "yellow"}
    for each in changes:
        note = "  (the text differs, the effect does not)" if each.same_effect else ""
        commit = _commits(each)
        click.echo(
            click.style(f"  {each.change.value:9}", fg=colours[each.change])
            + each.id
            + (f"  [{commit}]" if commit else "")
            + note
        )
        if each.change is not Change.MODIFIED and not brief:
            shown = each.new or each.old
            assert shown is not None
            click.echo(wrapped(shown.doc.splitlines()[0], " " * 11))
        elif not brief:
            click.echo("\n".join(side_by_side(*steps[each.id], width=width)))


def _commits(change: StepChange) -> str:
    old, new = ("" if each is None else each.commit for each in (change.old, change.new))
    if change.change is Change.MODIFIED:
        return old if old == new else f"{old or 'no commit'} -> {new or 'no commit'}"
    return old or new


def side_by_side(left: Sequence[str], right: Sequence[str], *, width: int = 120) -> list[str]:
    """Two texts in two columns; ``|`` marks lines that differ, ``<`` and ``>`` those of one side only."""
    column = (width - 5) // 2
    rows: list[str] = []
    for tag, left_from, left_to, right_from, right_to in difflib.SequenceMatcher(
        None, left, right, autojunk=False
    ).get_opcodes():
        ours, theirs = list(left[left_from:left_to]), list(right[right_from:right_to])
        for number in range(max(len(ours), len(theirs))):
            mine = _folded(ours[number], column) if number < len(ours) else []
            other = _folded(theirs[number], column) if number < len(theirs) else []
            mark = " " if tag == "equal" else "<" if not other else ">" if not mine else "|"
            for line in range(max(len(mine), len(other))):
                texts = [part[line] if line < len(part) else "" for part in (mine, other)]
                rows.append(f"  {texts[0]:{column}} {mark} {texts[1]}".rstrip())
    return rows


def _folded(line: str, width: int) -> list[str]:
    indent = " " * min(len(line) - len(line.lstrip()) + 4, width // 2)
    return textwrap.wrap(line, width, subsequent_indent=indent, drop_whitespace=False) or [""]


def _steps_json(
    eras: tuple[Era, Era], changes: Sequence[StepChange], steps: Mapping[str, tuple[list[str], list[str]]]
) -> dict[str, object]:
    return {
        "schema": 1,
        "kind": "steps",
        "old": eras[0].id,
        "new": eras[1].id,
        "changes": [
            {
                "step": each.id,
                "change": each.change.value,
                "same_effect": each.same_effect,
                "commits": [None if version is None else version.commit for version in (each.old, each.new)],
                "old": steps[each.id][0],
                "new": steps[each.id][1],
            }
            for each in changes
        ],
    }


# -- behaviour -------------------------------------------------------------------------------


def _run(outcome: Outcome, difference: Difference) -> Run:
    return run_of(Instance(outcome.allowing, outcome.scenario), difference.steps, start=difference.start)


def _said(changes: Sequence[str]) -> str:
    return ", ".join(changes)


def _print_direction(
    direction: tuple[Era, Era], outcomes: Sequence[Outcome], observables: Sequence[Observable], *, brief: bool
) -> None:
    allowing, forbidding = (titled(era) for era in direction)
    differing = [each for each in outcomes if each.difference is not None]
    if differing:
        _print_difference(differing[0], observables, brief=brief)
    else:
        click.echo(click.style(f"\nNo run of {allowing} was found that {forbidding} forbids.", bold=True))
    by_answer: dict[tuple[Answer, str], list[str]] = {}
    for each in outcomes:
        if each.answer is Answer.DIFFERS:
            continue
        bound = "" if not each.bound else f"; none within {counted(each.bound, 'change')}"
        by_answer.setdefault((each.answer, each.reason + bound), []).append(each.scenario.id)
    for (answer, reason), names in by_answer.items():
        text = {
            Answer.NONE: f"none exists, every run was compared{f' ({reason})' if reason else ''}",
            Answer.NONE_FROM_HERE: "none from where the scenario starts, in mid-protocol: not complete",
            Answer.CUT_SHORT: f"not settled, {reason}",
        }[answer]
        click.echo(wrapped(f"{text}: {', '.join(names)}"))


def _print_difference(outcome: Outcome, observables: Sequence[Observable], *, brief: bool) -> None:
    difference = outcome.difference
    assert difference is not None
    allowing, forbidding = titled(outcome.allowing), titled(outcome.forbidding)
    click.echo(click.style(f"\nA run that {allowing} allows and {forbidding} forbids", bold=True))
    start = f", after a prefix of {len(difference.start)} steps" if difference.start else ""
    seen = len(difference.seen) + difference.stays
    size = f"{counted(len(difference.steps), 'step')}, {counted(seen, 'observed change')}"
    checked = _checked(outcome, observables)
    click.echo(wrapped(f"in scenario {outcome.scenario.id}: {size}{start}; {checked}; {outcome.seconds:.1f} s"))
    if not brief:
        click.echo("\n" + textwrap.indent(draw(_run(outcome, difference)).rstrip(), "    "))
    click.echo("\n    seen" + (" from where the scenario starts" if difference.start else "") + ":")
    for number, changes in enumerate(difference.seen, 1):
        refused = number == len(difference.seen) and not difference.stays
        click.echo(f"    {number:3}. {_said(changes)}" + (f"   <- {forbidding} cannot follow" if refused else ""))
    if difference.stays:
        click.echo(f"    {seen:3}. nothing more, for ever   <- {forbidding} cannot follow")
        acting = ", ".join(dict.fromkeys(action.actor for action in difference.company))
        what = f"{acting} may go on, unnoticed" if acting else "nobody has to move again"
        click.echo(wrapped(f"in {allowing}, {what}", "         "))
    click.echo(f"    {forbidding}, which may then be in {counted(difference.candidates, 'state')}, can only show:")
    offers = [_said(changes) for changes in difference.offers]
    for offer in [*offers, *(["nothing more, for ever"] if difference.offers_to_stay else [])] or ["nothing at all"]:
        click.echo(f"         {offer}")


def _checked(outcome: Outcome, observables: Sequence[Observable]) -> str:
    agreed = confirm(outcome, observables)
    if agreed is False:
        raise SpecError(
            f"internal error: plain steps do not confirm the difference between {outcome.allowing.id} and "
            f"{outcome.forbidding.id} in {outcome.scenario.id}; please report it"
        )
    return "replayed, and the refusal confirmed, by plain steps" if agreed else "replayed by plain steps"


def _outcome_json(outcome: Outcome, observables: Sequence[Observable]) -> dict[str, object]:
    line: dict[str, object] = {
        "schema": 1,
        "kind": "behaviour",
        "allowing": outcome.allowing.id,
        "forbidding": outcome.forbidding.id,
        "scenario": outcome.scenario.id,
        "observables": [each.name for each in observables],
        "observables_version": VERSION,
        "answer": outcome.answer.value,
        "complete": outcome.answer is Answer.NONE,
        "bound": outcome.bound,
        "reason": outcome.reason,
        "pairs": outcome.pairs,
        "sets": outcome.sets,
        "states": outcome.states,
        "seconds": round(outcome.seconds, 3),
    }
    difference = outcome.difference
    if difference is not None:
        line |= {
            "changes": len(difference.seen) + difference.stays,
            "steps": len(difference.steps),
            "prefix": len(difference.start),
            "seen": [list(changes) for changes in difference.seen],
            "stays": difference.stays,
            "company": [action.id for action in difference.company],
            "offers": [list(changes) for changes in difference.offers],
            "offers_to_stay": difference.offers_to_stay,
            "candidates": difference.candidates,
            "checked_by": ["explorer", _checked(outcome, observables)],
            "run": json.loads(to_json(_run(outcome, difference))),
        }
    return line


# -- verdicts --------------------------------------------------------------------------------


@attrs.frozen
class _Word:
    """One property in one era: the word, and where it is violated."""

    word: str
    violated_in: Mapping[str, int]

    @property
    def text(self) -> str:
        """``violated (16 scenarios; shortest: marked 20)``"""
        if not self.violated_in:
            return self.word
        depth, name = min((depth, name) for name, depth in self.violated_in.items())
        return f"{self.word} ({counted(len(self.violated_in), 'scenario')}; shortest: {name} {depth})"


def _verdicts(eras: tuple[Era, Era], scenarios: Sequence[Scenario], *, compute: bool, as_json: bool) -> None:
    source = "computed" if compute else "recorded"
    old, new = _computed(eras, scenarios) if compute else [_recorded(era) for era in eras]
    missing = [era.id for era, found in zip(eras, (old, new), strict=True) if not found]
    changed = [] if missing else [name for name in old if name not in new or old[name].word != new[name].word]
    nothing = _Word("none", {})
    if as_json:
        for name in changed:
            line: dict[str, object] = {"schema": 1, "kind": "verdict", "property": name, "source": source}
            for key, found in (("old", old[name]), ("new", new.get(name, nothing))):
                line |= {key: found.word, f"{key}_violated_in": dict(found.violated_in)}
            json_line(line)
        return
    click.echo(click.style("\nVerdicts", bold=True) + f" ({source})")
    if missing:
        click.echo(wrapped(f"none recorded for {' and '.join(dict.fromkeys(missing))}; `--verdicts` computes them"))
        return
    for name in changed:
        click.echo(f"    {name:12} {old[name].text} -> {new.get(name, nothing).text}")
    if not changed:
        click.echo("    no property changes its verdict")


def _recorded(era: Era) -> dict[str, _Word]:
    """By property: what the manifest says; empty for an era that it does not know."""
    found = {each.id: expected_cell(era.id, each.id) for each in PROPERTIES}
    return {name: _Word(cell.word.value, cell.violated_in) for name, cell in found.items() if cell is not None}


def _computed(eras: tuple[Era, Era], scenarios: Sequence[Scenario]) -> list[dict[str, _Word]]:
    from oom_smt.deciding import Options, decide

    words: list[dict[str, _Word]] = []
    done = 0
    with progress_bar("verdicts") as progress:
        for era in eras:
            verdicts: dict[str, list[Verdict]] = {each.id: [] for each in PROPERTIES}
            for scenario in scenarios:
                done += 1
                if irrelevant(era, scenario):
                    continue
                for verdict in decide(era, scenario, PROPERTIES, Options(bounded=False)):
                    verdicts[verdict.property].append(verdict)
                progress(done, 2 * len(scenarios), f"{era.id} {scenario.id}")
            cells = {name: Cell(era.id, era.aliases, name, found) for name, found in verdicts.items()}
            words.append({name: _Word(cell.word.value, cell.violated_in) for name, cell in cells.items()})
    return words

"""A run as a picture: columns of text for a mail, or SVG.

The text has the form that kernel commit messages use: one column per thread, time goes down, a
function's name stands where the thread enters it and its calls are indented below. A remark that does
not fit behind its call stands below it.
`oom_spec.reading` reads it back.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from html import escape

import attrs

from oom_spec.lassos import FOR_EVER, sentences
from oom_spec.stacks import Stack
from oom_spec.traces import Run, Taken, columns_of

GUTTER = 2
"""Blanks between two columns."""

WIDEST = {1: 72, 2: 72, 3: 100}
"""How wide a diagram of so many columns may be, in characters."""

WIDEST_OF_MANY = 120
NARROWEST = 12
"""No column is cut to less than this."""

CUT = "..."
"""The end of a shortened call or comment; the reader takes it for any ending."""

START_MARK = "=== here the scenario starts"
AFTER_MARK = "=== "
"""Before the sentence that says what is wrong from the end of a run on."""
AGAIN = "and again"
"""Below what repeats for ever."""


@attrs.frozen
class Cell:
    """A call, or a function that is entered, in one column."""

    column: str
    depth: int
    name: str
    remark: str = ""

    @property
    def text(self) -> str:
        """The call with its remark."""
        return f"{self.name} # {self.remark}" if self.remark else self.name

    def needs(self, unit: int, wrapped: bool) -> int:
        """How wide its column must be; ``wrapped`` if the remark may stand on a line of its own."""
        if wrapped and self.remark:
            return max(unit * self.depth + len(self.name), unit + len(f"# {self.remark}"))
        return unit * self.depth + len(self.text)

    def lines(self, width: int, unit: int) -> list[str]:
        """Its lines in ``width`` characters: first the remark gets a line of its own, then indentation gives way."""
        indent = unit * self.depth
        if indent + len(self.text) <= width:
            return [" " * indent + self.text]
        if not self.remark:
            return [_fitted(self.name, indent, width)]
        return [_fitted(self.name, indent, width), _fitted(f"# {self.remark}", indent + unit, width)]


def _fitted(text: str, indent: int, width: int) -> str:
    text = text if len(text) <= width else text[: width - len(CUT)] + CUT
    return " " * min(indent, width - len(text)) + text


def cells_of(taken: Taken, before: Stack) -> list[Cell]:
    """What one step needs: functions that its thread enters, the call, what that enters."""
    cells = []
    for depth, name in taken.lines(before):
        called = name == taken.call and depth == len(taken.frames)
        cells.append(Cell(taken.column, depth, name, taken.remark if called else ""))
    return cells


def heading(run: Run) -> str:
    """``E4 (v4.9 - v4.12), scenario marked: N1s is violated at depth 20, after a prefix of 20 steps``"""
    name = run.era if run.releases == run.era else f"{run.era} ({run.releases})"
    text = f"{name}, scenario {run.scenario}"
    if run.property is not None:
        at = "" if run.depth is None else f" at depth {run.depth}"
        text += f": {run.property} {'needs its excuse' if run.excuse else 'is violated'}{at}"
    if run.start:
        text += f", after a prefix of {len(run.start)} steps"
    return text


def draw(run: Run, *, whole: bool = False, race_only: bool = False, width: int | None = None) -> str:
    """The text diagram, ending with a newline.

    ``whole`` begins with the cold start instead of the scenario's start. ``race_only`` leaves out the
    steps that no other thread can notice. ``width`` is the most characters per line: 72 for two
    columns, 100 for three, 120 for more, unless given.
    """
    shown = _shown(run, whole, race_only)
    columns = columns_of((*shown, *run.cycle), run.titles)
    limit = width or WIDEST.get(len(columns), WIDEST_OF_MANY)
    rows = _cells_and_marks(run, shown, whole and bool(run.start), limit)
    cells = [[row for row in rows if isinstance(row, Cell) and row.column == column] for column in columns]
    widths, units = _layout(columns, [run.titles[column] for column in columns], cells, limit)
    starts = [sum(widths[:n]) + GUTTER * n for n in range(len(columns))]
    lines = [*textwrap.wrap(heading(run), limit), ""]
    titles = [run.titles[c] if len(run.titles[c]) <= w else c for c, w in zip(columns, widths, strict=True)]
    lines.append(_row(starts, titles))
    lines.append(_row(starts, ["-" * each for each in widths]))
    for row in rows:
        if isinstance(row, str):
            lines.append(row)
        else:
            number = columns.index(row.column)
            lines += [" " * starts[number] + line for line in row.lines(widths[number], units[number])]
    lines += ["", *textwrap.wrap(_statement(run), limit, break_on_hyphens=False)] if _statement(run) else []
    for told in _treated(run):
        lines += textwrap.wrap(told, limit, subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(lines) + "\n"


def _breaks(run: Run) -> str:
    """``N2r breaks here``"""
    return f"{run.property} needs its excuse here" if run.excuse else f"{run.property} breaks here"


def _statement(run: Run) -> str:
    """The property, and what it does not hold for, where the last line does not say it; or what excuses it."""
    here = f" Here: {', '.join(run.objects)}." if run.objects else ""
    here += f" Excused here: {run.excuse}." if run.excuse else ""
    return f"{run.property}: {run.statement}{here}" if run.property is not None and run.statement else ""


def _ending(run: Run) -> str:
    """What stands between prefix and cycle."""
    return run.ending or (FOR_EVER if run.cycle else "")


def _treated(run: Run) -> list[str]:
    """For a run that goes on for ever: who could end it, and why it is fair to everybody who is counted on."""
    return (
        [f"{told[0].upper()}{told[1:]}." for told in sentences(run.fair, run.unfair)] if run.fair or run.unfair else []
    )


def _shown(run: Run, whole: bool, race_only: bool) -> list[Taken]:
    before = run.start if whole else ()
    return [step for step in (*before, *run.steps) if not race_only or step.race or step is run.steps[-1]]


def _cells_and_marks(run: Run, shown: Sequence[Taken], cold: bool, limit: int) -> list[Cell | str]:
    """What stands below the titles, from the top; a mark is a line across all columns."""
    rows: list[Cell | str] = []
    stacks: dict[str, Stack] = {}
    for step in shown:
        if cold and any(step is first for first in run.steps):
            rows.append(START_MARK)
            cold = False
        rows += cells_of(step, stacks.get(step.column, ()))
        stacks[step.column] = step.after
    if run.property is not None:
        mark = f"^^^ {_breaks(run)}"
        rows.append(Cell(shown[-1].column, 0, mark) if shown else mark)
    rows += textwrap.wrap(AFTER_MARK + _ending(run), limit) if _ending(run) else []
    for step in run.cycle:
        rows += cells_of(step, stacks.get(step.column, ()))
        stacks[step.column] = step.after
    rows += [AFTER_MARK + AGAIN] if run.cycle else []
    return rows


def _row(starts: Sequence[int], texts: Sequence[str]) -> str:
    line = ""
    for start, text in zip(starts, texts, strict=True):
        line = line.ljust(start) + text
    return line


Layout = tuple[list[int], list[int]]
"""Widths of the columns, and blanks per level of nesting in each."""


def _layout(columns: Sequence[str], titles: Sequence[str], cells: Sequence[Sequence[Cell]], limit: int) -> Layout:
    """As wide as the lines need, two blanks per level.

    Where that is too much, columns are indented by one blank, or remarks go on lines of their own: whatever disturbs
    less. Then columns are titled with bare names, then indentation gives way, and at last text is cut.
    """
    room = limit - GUTTER * (len(columns) - 1)
    found = _undisturbed(titles, cells, room) or _undisturbed(columns, cells, room)
    if found is not None:
        return found
    units = [1] * len(columns)
    widths = _needed(columns, cells, units, wrapped=True)
    bare = _needed(columns, cells, [0] * len(columns), wrapped=True)
    while sum(widths) > room and max(widths) > NARROWEST:
        spare = [width - least for width, least in zip(widths, bare, strict=True)]
        widths[spare.index(max(spare)) if max(spare) > 0 else widths.index(max(widths))] -= 1
    return widths, units


def _needed(heads: Sequence[str], cells: Sequence[Sequence[Cell]], units: Sequence[int], *, wrapped: bool) -> list[int]:
    return [
        max([3, len(head), *(cell.needs(unit, wrapped) for cell in column)])
        for head, column, unit in zip(heads, cells, units, strict=True)
    ]


def _undisturbed(heads: Sequence[str], cells: Sequence[Sequence[Cell]], room: int) -> Layout | None:
    """The layout with the fewest narrow columns and wrapped remarks in which all nesting shows; None if none fits."""
    units = [2] * len(heads)
    least = _needed(heads, cells, [1] * len(heads), wrapped=False)
    best: tuple[int, Layout] | None = None
    while True:
        widths = _needed(heads, cells, units, wrapped=True)
        if sum(widths) <= room:
            _widen(widths, units, cells, room - sum(widths))
            cost = units.count(1) + sum(
                cell.needs(unit, False) > width
                for column, unit, width in zip(cells, units, widths, strict=True)
                for cell in column
            )
            if best is None or cost < best[0]:
                best = (cost, (widths, list(units)))
        if 2 not in units:
            return None if best is None else best[1]
        wide = _needed(heads, cells, units, wrapped=False)
        gains = [now - then for now, then in zip(wide, least, strict=True)]
        units[max((n for n, unit in enumerate(units) if unit == 2), key=gains.__getitem__)] = 1


def _widen(widths: list[int], units: Sequence[int], cells: Sequence[Sequence[Cell]], left: int) -> None:
    """Give what is left of the room to the columns where the least of it saves a line."""
    while left > 0:
        wanted = [
            (cell.needs(units[number], False) - widths[number], number)
            for number, column in enumerate(cells)
            for cell in column
            if cell.needs(units[number], False) > widths[number]
        ]
        more, number = min(wanted, default=(left + 1, 0))
        if more > left:
            return
        widths[number] += more
        left -= more


# -- SVG -------------------------------------------------------------------------------------

LANE = 250
ROW = 22
TOP = 92
LEFT = 24
CHARACTER = 6.7
"""Width of a monospaced character at the size of the calls, in pixels."""

STYLE = (
    "text{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:11px;fill:#1f2933}"
    ".h{font-size:14px;font-weight:600}.t{font-size:12px;font-weight:600}.f{fill:#52606d;font-size:10px}"
    ".r{fill:#6b4e00}.v{fill:#a61b1b;font-weight:600}.l{stroke:#9aa5b1;stroke-width:1.5}"
    ".c{fill:#e4eef7;stroke:#9fb9d1}.d{fill:#2f6fa7}.b{fill:#a61b1b}.s{fill:#52606d}"
    ".m{stroke:#a61b1b;stroke-dasharray:6 4}"
)


def svg(run: Run, *, whole: bool = False, race_only: bool = False) -> str:
    """The same run as one self-contained SVG: a lifeline per thread, a row per step, time goes down."""
    shown = _shown(run, whole, race_only)
    columns = columns_of((*shown, *run.cycle), run.titles)
    longest = max((len(f"{step.call} # {step.remark}") for step in (*shown, *run.cycle)), default=0)
    lane = max(LANE, int(longest * CHARACTER) + 40)
    width = max(LEFT * 2 + lane * len(columns), 480)
    body, y = _svg_rows(shown, columns, lane, width, run)
    bottom = y
    title = heading(run)
    below = (_statement(run), *_treated(run))
    for line in (line for told in below for line in textwrap.wrap(told, int((width - 2 * LEFT) / CHARACTER))):
        y += 16
        body.append(f'<text class="s" x="{LEFT}" y="{y + 14}">{escape(line)}</text>')
    height = y + 40
    heads = []
    for number, column in enumerate(columns):
        x = LEFT + lane * number
        heads += [
            f'<rect class="c" x="{x - 8}" y="{TOP - 36}" width="{lane - 24}" height="24" rx="6"/>',
            f'<text class="t" x="{x + 4}" y="{TOP - 20}">{escape(run.titles[column])}</text>',
            f'<line class="l" x1="{x}" y1="{TOP - 12}" x2="{x}" y2="{bottom - 6}"/>',
        ]
    size = f'width="{width}" height="{height}"'
    role = 'role="img" aria-labelledby="title desc"'
    head = textwrap.wrap(title, int((width - 2 * LEFT) / 8.6))
    lines = [
        f'<text class="h" x="{LEFT - 8}" y="{22 + 18 * number}">{escape(line)}</text>'
        for number, line in enumerate(head[:2])
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size} {role}>',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="desc">{escape(_spoken(run, shown))}</desc>',
            f"<style>{STYLE}</style>",
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            *lines,
            *heads,
            *body,
            "</svg>",
            "",
        ]
    )


def _innermost(text: str, width: int) -> str:
    """The end of a call stack that is too long: what was entered last."""
    return text if len(text) <= width else CUT + text[len(CUT) - width :]


def _spoken(run: Run, shown: Sequence[Taken]) -> str:
    """The rows as sentences, for who cannot see the picture."""
    told = [
        f"{number}. {run.titles[step.column]}: {step.call}" + (f" ({step.remark})" if step.remark else "")
        for number, step in enumerate(shown, 1)
    ]
    told += [_breaks(run)] if run.property else []
    told += [_ending(run)] if _ending(run) else []
    told += [f"{run.titles[step.column]}: {step.call}" for step in run.cycle]
    told += [AGAIN] if run.cycle else []
    return "; ".join(told)


def _svg_rows(shown: Sequence[Taken], columns: Sequence[str], lane: int, width: int, run: Run) -> tuple[list[str], int]:
    """One row per step, and the height that they end at."""
    body: list[str] = []
    stacks: dict[str, Stack] = {}
    y = TOP + 8
    for number, step in enumerate((*shown, *run.cycle)):
        if number == len(shown):
            body += _svg_mark(y, width, _ending(run))
            y += 28
        x = LEFT + lane * columns.index(step.column)
        broken = run.property is not None and number == len(shown) - 1
        entered = [name for depth, name in step.lines(stacks.get(step.column, ())) if depth < len(step.frames)]
        stacks[step.column] = step.after
        above = 14 if entered else 0
        y += above
        if broken:
            box = f'x="4" y="{y - 2 - above}" width="{width - 8}" height="{ROW + 16 + above}"'
            body.append(f'<rect {box} fill="#fdecea"/>')
        if entered:
            text = _innermost(" > ".join(entered), int((lane - 24) / 6.1))
            body.append(f'<text class="f" x="{x + 12}" y="{y - 4}">{escape(text)}</text>')
        remark = f' <tspan class="r"># {escape(step.remark)}</tspan>' if step.remark else ""
        body.append(f'<circle class="{"b" if broken else "d"}" cx="{x}" cy="{y + 9}" r="{5 if broken else 4}"/>')
        body.append(f'<text x="{x + 12}" y="{y + 13}">{escape(step.call)}{remark}</text>')
        y += ROW
        if broken:
            body.append(f'<text class="v" x="{x + 12}" y="{y + 8}">{escape(_breaks(run))}</text>')
            y += 20
    if run.cycle or run.ending:
        body += _svg_mark(y, width, AGAIN if run.cycle else run.ending)
        y += 28
    return body, y


def _svg_mark(y: int, width: int, text: str) -> list[str]:
    """A line across all columns, with a sentence below it."""
    return [
        f'<path class="m" d="M4 {y} H{width - 4}"/>',
        f'<text class="v" x="{LEFT}" y="{y + 15}">{escape(text)}</text>',
    ]

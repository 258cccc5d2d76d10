"""How results are printed: JSON lines, verdict words with a symbol, progress on standard error."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from oom_spec.language import Era
from oom_spec.reporting import Progress
from oom_spec.verdicts import Word

SYMBOLS = {
    Word.PROVED: ("P", "green"),
    Word.PROVED_INSTANCE: ("+", "green"),
    Word.BOUNDED: ("b", "yellow"),
    Word.VIOLATED: ("X", "red"),
    Word.UNKNOWN: ("?", "magenta"),
    Word.VACUOUS: ("0", "magenta"),
    Word.NOT_APPLICABLE: ("-", "bright_black"),
}
"""A symbol per verdict that also reads in black and white, and its colour."""

QUIET_SECONDS = 10.0
"""Where standard error is no terminal, progress is told at most once in this time."""


class Seconds(click.FloatRange):
    """A duration: a number from 0 on."""

    name = "seconds"

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As a float; ``nan`` is none."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds


def json_line(item: Mapping[str, object]) -> None:
    """One JSON object on standard output."""
    click.echo(json.dumps(item, ensure_ascii=False))


def coloured(word: Word, text: str) -> str:
    """``text`` in the colour of a verdict; click drops the colour where there is no terminal."""
    return click.style(text, fg=SYMBOLS[word][1], bold=word is Word.VIOLATED)


def wrapped(text: str, indent: str = "    ", width: int = 100) -> str:
    """``text`` as a paragraph."""
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent)


def titled(era: Era) -> str:
    """``E4 (v4.9 - v4.12)``: the id of an era, and its releases if it has some."""
    found = [name for name in era.aliases if name.startswith("v")]
    if not found:
        return era.id
    return f"{era.id} ({found[0]}{' - ' + found[-1] if len(found) > 1 else ''})"


def counted(number: int, noun: str) -> str:
    """``1 cell``, ``2 cells``"""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def warn(text: str) -> None:
    """One line on standard error that is no error."""
    click.echo(f"oomspec: {text}", err=True)


def width_of_page() -> int:
    """How many columns a table may have: those of the terminal, or ``$COLUMNS``; 120 where nobody says."""
    return max(60, shutil.get_terminal_size((120, 24)).columns)


def in_blocks(widths: Sequence[int], families: Sequence[str], room: int) -> list[list[int]]:
    """Columns of these ``widths`` dealt out to tables that are no wider than ``room``.

    A family of columns is kept in one table where it fits in one; a gap of 1 is between columns, of 3 between families.
    """
    groups: list[list[int]] = []
    for number, family in enumerate(families):
        if groups and families[groups[-1][0]] == family:
            groups[-1].append(number)
        else:
            groups.append([number])
    blocks: list[list[int]] = []
    left = 0
    for group in groups:
        needed = sum(widths[number] + 1 for number in group) + 2
        if blocks and needed <= left:
            blocks[-1] += group
            left -= needed
            continue
        blocks.append([])
        left = room
        for number in group:
            if blocks[-1] and widths[number] + 1 > left:
                blocks.append([])
                left = room
            blocks[-1].append(number)
            left -= widths[number] + 1
        left -= 2
    return blocks


def status_of(words: list[Word]) -> int:
    """Exit status of several verdicts: a violation outweighs an unknown."""
    statuses = {word.exit_status for word in words}
    return 1 if 1 in statuses else 3 if 3 in statuses else 0


@contextmanager
def progress_bar(title: str, *, says_time_left: bool = False) -> Iterator[Progress]:
    """A progress display on standard error: a bar on a terminal, a line now and then otherwise.

    ``says_time_left``: what is reported says it already.
    """
    if sys.stderr.isatty() and os.environ.get("TERM") not in (None, "", "dumb"):
        yield from _bar(title, says_time_left)
    else:
        yield from _lines(title)


def _bar(title: str, says_time_left: bool) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Display

    columns = (
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        *([] if says_time_left else [TimeRemainingColumn()]),
        TextColumn("{task.description}"),
    )
    # No thread refreshes it: the worker processes are forked while it is shown.
    with Display(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as display:
        bar = display.add_task("", total=None)

        def report(done: int, total: int, text: str) -> None:
            display.update(bar, completed=done, total=total, description=text, refresh=True)

        yield report


def _lines(title: str) -> Iterator[Progress]:
    last = time.monotonic()

    def report(done: int, total: int, text: str) -> None:
        nonlocal last
        if time.monotonic() - last > QUIET_SECONDS:
            last = time.monotonic()
            click.echo(f"{title}: {done}/{total} {text}", err=True)

    yield report

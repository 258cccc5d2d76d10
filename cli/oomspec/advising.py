"""Advice about a user's patch, told beside the answer of whatever command was asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from oom_spec.language import Era


def say_advice(*eras: Era) -> None:
    """One ``note:`` line on standard error for each thing that is hardly meant; nothing for eras of the package."""
    for era in eras:
        if era.file:
            from oom_spec.advice import advise

            _say(advise(era))


def say_untaken(era: Era, untaken: Iterable[str], scenarios: Sequence[str]) -> None:
    """The same for the steps of a user's patch that an exploration of ``scenarios`` never took."""
    if era.file:
        from oom_spec.advice import advise_untaken

        _say(advise_untaken(era, untaken, scenarios))


def _say(notes: Iterable[str]) -> None:
    for text in notes:
        click.echo(f"note: {text}", err=True)

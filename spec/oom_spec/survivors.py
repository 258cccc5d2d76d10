"""The mutants that nothing notices, each with the reason: read from survivors.toml, packaged with the spec."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import attrs

from oom_spec.language.errors import SpecError

SCHEMA = 1


@attrs.frozen
class Reason:
    """Why some mutants survive."""

    mutations: tuple[str, ...]
    """Ids of mutations, as `Mutation.id` gives them; ``*`` stands for any text."""
    text: str
    noticed_in: str = ""
    """An era that shares the step and shows the mutant; empty: there is none."""
    eras: tuple[str, ...] = ()
    """Ids of the eras that it speaks of; empty: all. Eras may have steps of one id that differ."""

    def names(self, mutation: str) -> bool:
        """One of the ids is this one, letter by letter."""
        return mutation in self.mutations

    def covers(self, mutation: str) -> bool:
        """One of the ids, ``*`` taken for any text, is this one."""
        return any(_pattern(each).fullmatch(mutation) for each in self.mutations)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)


@cache
def reasons() -> tuple[Reason, ...]:
    """Everything recorded.

    Raises `SpecError` where the file is damaged.
    """
    return read(files("oom_spec").joinpath("survivors.toml").read_text("utf-8"))


def read(text: str) -> tuple[Reason, ...]:
    """The reasons in ``text``, which is TOML.

    Raises `SpecError` where it is damaged, or names one mutation twice.
    """
    try:
        raw = tomllib.loads(text)
        if raw["schema"] != SCHEMA:
            raise SpecError(f"survivors.toml has schema {raw['schema']}, not {SCHEMA}: reinstall oomspec")
        found = tuple(
            Reason(
                tuple(entry["mutations"]), entry["reason"], entry.get("noticed_in", ""), tuple(entry.get("eras", ()))
            )
            for entry in raw.get("survivor", ())
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as damage:
        raise SpecError(f"survivors.toml is damaged ({damage}); reinstall oomspec") from damage
    seen: set[tuple[str, str]] = set()
    for name, era in ((n, e) for reason in found for n in reason.mutations for e in reason.eras or ("",)):
        if {(name, era), (name, "")} & seen:
            raise SpecError(f"survivors.toml names `{name}` twice: keep one of the two")
        seen.add((name, era))
    return found


def reason_for(mutation: str, era: str, among: Sequence[Reason] | None = None) -> Reason | None:
    """The reason recorded for a mutation in an era: an entry that names it, else the first whose pattern covers it."""
    known = [reason for reason in (reasons() if among is None else among) if era in reason.eras or not reason.eras]
    exact = next((reason for reason in known if reason.names(mutation)), None)
    return exact or next((reason for reason in known if reason.covers(mutation)), None)

"""Differences between eras: the time to the first one each way, and to find that none exists."""

from __future__ import annotations

from bench.measuring import Row, seconds
from oom_spec.differing import Answer, compare
from oom_spec.eras import find_era
from oom_spec.language.errors import SpecError
from oom_spec.observing import DEFAULT, find_observables
from oom_spec.scenarios import find_scenario

PAIRS = (("v4.13", "v4.14"), ("v4.12", "v4.14"))
SCENARIOS = ("marked", "single", "voluntary", "threads")
INCLUDED = ("v4.14", "threads")
"""An era that is compared with itself, without the short cut: every run has to be matched."""


def rows(rounds: int) -> list[Row]:
    """Seconds for both directions, everything from lifting on included."""
    observables = find_observables(DEFAULT)
    found = []
    for old, new in PAIRS:
        for name in SCENARIOS:

            def both(old: str = old, new: str = new, name: str = name) -> None:
                for one, other in ((old, new), (new, old)):
                    outcome = compare(find_era(one), find_era(other), find_scenario(name), observables)
                    if outcome.answer is not Answer.DIFFERS:
                        raise SpecError(f"{one} and {other} do not differ in {name}; run `make check`")

            found.append(Row(f"difference of {old} and {new} in `{name}`, both ways", seconds(both, rounds), "s", 4))
    era, name = INCLUDED

    def itself() -> None:
        chosen = find_era(era)
        outcome = compare(chosen, chosen, find_scenario(name), observables, shortcut=False)
        if outcome.answer is not Answer.NONE:
            raise SpecError(f"{era} differs from itself in {name}; run `make check`")

    return [*found, Row(f"no difference of {era} and itself in `{name}`", seconds(itself, rounds), "s", 10)]

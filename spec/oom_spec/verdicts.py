"""Verdicts: the words, and what stands behind each."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from enum import Enum, unique
from typing import Any

import attrs

SCHEMA = 1
MID_PROTOCOL = "it starts in mid-protocol, where only a violation counts: what holds must hold from a cold start"


LISTS = ("aliases", "checked_by", "limits", "run", "cycle")
"""The fields of a verdict that are lists of texts."""


@unique
class Word(Enum):
    """The words for a verdict, from the worst to the best; nothing else is ever printed."""

    VIOLATED = "violated"
    UNKNOWN = "unknown"
    VACUOUS = "vacuous"
    BOUNDED = "bounded"
    PROVED_INSTANCE = "proved-instance"
    PROVED = "proved"
    NOT_APPLICABLE = "not-applicable"

    @property
    def exit_status(self) -> int:
        """What `oomspec check` exits with: 0 holds, 1 violated or vacuous, 3 unknown."""
        if self in (Word.VIOLATED, Word.VACUOUS):
            return 1
        return 3 if self is Word.UNKNOWN else 0


@attrs.frozen(eq=False)
class Verdict:
    """What was computed of one property in one era and one scenario."""

    era: str
    aliases: Sequence[str]
    property: str
    scenario: str
    word: Word
    method: str
    """``explore``, ``bounded``, or ``explore+bounded``."""
    depth: int | None = None
    """Steps of the shortest violating run, from the scenario's start."""
    bound: int | None = None
    """For `bounded`: no violation within so many steps."""
    strict: Word | None = None
    """The verdict if no excuse (N3) is accepted; None where the property knows no excuse."""
    strict_depth: int | None = None
    excuses: Mapping[str, int] = attrs.field(factory=dict)
    """Each excuse that some run needs, with the depth of the shortest such run."""
    checked_by: Sequence[str] = ()
    limits: Sequence[str] = ()
    """What the verdict does not speak of, because the scenario fixes it."""
    run: Sequence[str] = ()
    """Ids of the actions of the violating run."""
    cycle: Sequence[str] = ()
    """For progress: ids of the actions that repeat for ever after `run`; empty where nobody acts any more."""
    fair: Mapping[str, str] | None = None
    """For progress: whom the property counts on, with its step on the cycle, or that it has none; else None."""
    unfair: Mapping[str, str] = attrs.field(factory=dict)
    """For progress: who could end it and need not act, with the first step that it leaves untaken."""
    excuse_runs: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    """For each excuse, the shortest run that uses it."""
    states: int = 0
    seconds: float = 0.0
    reason: str = ""
    """Why it is unknown, vacuous or not applicable."""
    touched: bool = True
    """The antecedent was reached, so the scenario says something about the property."""
    same_as: str = ""
    """The era that does just the same in this scenario, and that this was computed for; empty if for this one."""

    @builtins.property
    def text(self) -> str:
        """The word with what belongs to it: ``violated at 40``, ``bounded 25``."""
        if self.word is Word.VIOLATED:
            return f"violated at {self.depth}"
        if self.word is Word.BOUNDED:
            return f"bounded {self.bound}"
        return str(self.word.value)

    def as_json(self, expected: str | None = None) -> dict[str, object]:
        """The object that `--json` prints."""
        return {
            "schema": SCHEMA,
            "era": self.era,
            "aliases": list(self.aliases),
            "property": self.property,
            "scenario": self.scenario,
            "verdict": self.word.value,
            "method": self.method,
            "bound": self.bound,
            "depth": self.depth,
            "strict": None if self.strict is None else self.strict.value,
            "strict_depth": self.strict_depth,
            "seconds": round(self.seconds, 3),
            "states": self.states,
            "checked_by": list(self.checked_by),
            "excuses": dict(self.excuses),
            "excuse_runs": {name: list(run) for name, run in self.excuse_runs.items()},
            "limits": list(self.limits),
            "run": list(self.run),
            "lasso": self.lasso,
            "reason": self.reason,
            "expected": expected,
        }

    @builtins.property
    def lasso(self) -> dict[str, object] | None:
        """The run without end that breaks a property of progress; None for any other verdict."""
        if self.fair is None:
            return None
        return {
            "prefix": list(self.run),
            "cycle": list(self.cycle),
            "fair": dict(self.fair),
            "unfair": dict(self.unfair),
        }

    def as_stored(self) -> dict[str, object]:
        """All fields as JSON can hold them, exactly: what `from_stored` reads back."""
        found = attrs.asdict(self, recurse=False)
        found["word"] = self.word.value
        found["strict"] = None if self.strict is None else self.strict.value
        for name in LISTS:
            found[name] = list(found[name])
        found["fair"] = None if self.fair is None else dict(self.fair)
        found["unfair"] = dict(self.unfair)
        found["excuses"] = dict(self.excuses)
        found["excuse_runs"] = {name: list(run) for name, run in self.excuse_runs.items()}
        return found

    @classmethod
    def from_stored(cls, found: Mapping[str, Any]) -> Verdict:
        """The verdict behind what `as_stored` gave.

        Raises `ValueError` for anything else: a field too many or too few, a word or a type that no verdict has.
        """
        wanted = {field.name for field in attrs.fields(cls)}
        if set(found) != wanted:
            raise ValueError(f"not the fields of a verdict: {sorted(set(found) ^ wanted)}")
        strict = found["strict"]
        verdict = cls(
            **{
                **found,
                "word": Word(found["word"]),
                "strict": None if strict is None else Word(strict),
                **{name: tuple(found[name]) for name in LISTS},
                "fair": None if found["fair"] is None else dict(found["fair"]),
                "unfair": dict(found["unfair"]),
                "excuse_runs": {name: tuple(run) for name, run in dict(found["excuse_runs"]).items()},
            }
        )
        numbers = (verdict.depth, verdict.bound, verdict.strict_depth, *verdict.excuses.values())
        names = (verdict.era, verdict.property, verdict.scenario, verdict.method, verdict.reason, verdict.same_as)
        texts = [*names, *(text for name in LISTS for text in getattr(verdict, name))]
        texts += [text for named in (verdict.fair or {}, verdict.unfair) for pair in named.items() for text in pair]
        if not all(number is None or type(number) is int for number in numbers):
            raise ValueError("a depth is no whole number")
        if not all(type(text) is str for text in texts) or type(verdict.touched) is not bool:
            raise ValueError("a text or a truth value is none")
        return verdict


@attrs.frozen(eq=False)
class Cell:
    """One property in one era, over all scenarios that can touch it."""

    era: str
    aliases: Sequence[str]
    property: str
    verdicts: Sequence[Verdict]

    @builtins.property
    def touching(self) -> Sequence[Verdict]:
        """The verdicts of the scenarios that say something about the property."""
        return [v for v in self.verdicts if v.touched]

    @builtins.property
    def leading(self) -> Verdict:
        """The verdict that decides the cell: the shortest violation, else the worst word."""
        candidates = self.touching or list(self.verdicts) or [self._nothing]
        order = list(Word)
        return min(
            candidates,
            key=lambda v: (order.index(v.word), v.depth if v.depth is not None else 0, v.scenario != "single"),
        )

    @builtins.property
    def word(self) -> Word:
        """The verdict of the cell; vacuous where no scenario has anything to say of it."""
        if self.verdicts and all(v.word is Word.NOT_APPLICABLE for v in self.verdicts):
            return Word.NOT_APPLICABLE
        if not self.touching:
            return Word.UNKNOWN if any(v.reason == MID_PROTOCOL for v in self.verdicts) else Word.VACUOUS
        return self.leading.word

    @builtins.property
    def _nothing(self) -> Verdict:
        """Where no scenario was run."""
        return Verdict(
            era=self.era,
            aliases=self.aliases,
            property=self.property,
            scenario="",
            word=Word.VACUOUS,
            method="none",
            reason="no scenario is run in this era",
            touched=False,
        )

    @builtins.property
    def depends_on_scenario(self) -> bool:
        """It is violated in some scenario that says something about it, and holds in another."""
        words = {v.word is Word.VIOLATED for v in self.touching}
        return len(words) == 2

    @builtins.property
    def violated_in(self) -> dict[str, int]:
        """Scenario and depth of each violation."""
        return {v.scenario: v.depth or 0 for v in self.verdicts if v.word is Word.VIOLATED}

    @builtins.property
    def excuses(self) -> list[str]:
        """The excuses that some scenario's verdict leans on."""
        return sorted({name for v in self.verdicts for name in v.excuses})

    @builtins.property
    def only_by_excuse(self) -> bool:
        """It holds, but in some scenario only because an excuse is accepted."""
        return self.word in (Word.PROVED, Word.PROVED_INSTANCE, Word.BOUNDED) and any(
            v.strict is Word.VIOLATED for v in self.verdicts
        )

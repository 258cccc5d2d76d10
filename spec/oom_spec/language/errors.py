"""Errors of the specification language: each message says what to do about it."""

from __future__ import annotations


class SpecError(Exception):
    """A specification, a scenario or a request about them is wrong; the message says how to mend it."""


class MisuseError(SpecError):
    """A step or a property uses the language in a way that cannot be lifted faithfully."""


class UnknownNameError(SpecError):
    """An era, property, scenario or step id that nobody has defined."""


class Disabled(Exception):  # noqa: N818 - control flow, never shown to a user
    """Raised by `requires` when a guard is false: the step cannot be taken here."""

    def __init__(self, guard: object) -> None:
        super().__init__(guard)
        self.guard = guard


class CountRange(Exception):  # noqa: N818 - control flow: becomes the violation `count-range`
    """An assignment would leave the declared range of a count."""

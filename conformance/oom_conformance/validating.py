"""Checks data that was read from a file against a JSON Schema (draft 2020-12) of this package."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from oom_spec.language import SpecError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

_MOST_SHOWN = 160
"""Characters of a place, or of what is wrong there, that a message shows."""


@cache
def schema_text(name: str) -> str:
    """A file of ``schemas/``: a schema, or the text of a README."""
    return (files("oom_conformance") / "schemas" / name).read_text("utf-8")


def check(data: object, schema: str) -> None:
    """Raise `SpecError` where ``data`` does not fit ``schemas/<schema>``, saying in one line where and how.

    A number with a fraction is no integer here, not even ``1.0``: what is read is used as an index.
    """
    from jsonschema.exceptions import best_match

    try:
        error = best_match(_validator(schema).iter_errors(data))
    except RecursionError:
        raise SpecError("the file: lists within lists without end") from None
    if error is not None:
        place = error.json_path.removeprefix("$").removeprefix(".")
        raise SpecError(f"{_shown(place) or 'the file'}: {_shown(error.message)}")


@cache
def _validator(schema: str) -> Validator:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend
    from referencing import Registry

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, data: type(data) is int)
    # A registry of our own, because the default one fetches what a `$ref` names.
    validator: Validator = extend(Draft202012Validator, type_checker=types)(
        json.loads(schema_text(schema)), registry=Registry()
    )
    return validator


def _shown(text: str) -> str:
    """In one line of bounded length; what was expected often stands at the end, so the middle is left out."""
    if len(text) > _MOST_SHOWN:
        half = (_MOST_SHOWN - 3) // 2
        text = f"{text[:half]}...{text[-half:]}"
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


__all__ = ["check", "schema_text"]

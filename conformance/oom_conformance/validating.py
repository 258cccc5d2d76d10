"""Checks data that was read from a file against a JSON Schema of this package.

Knows the few words of JSON Schema (draft 2020-12) that our schemas use, and refuses a schema with others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NoReturn

from oom_spec.language import SpecError

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
_WORDS = frozenset(
    {"$schema", "$id", "$defs", "$ref", "$comment", "title", "description", "type", "const", "enum", "minimum"}
    | {"required", "properties", "additionalProperties", "items"}
)


@cache
def schema_text(name: str) -> str:
    """A file of ``schemas/``: a schema, or the text of a README."""
    return (files("oom_conformance") / "schemas" / name).read_text("utf-8")


def check(data: object, schema: str) -> None:
    """Raise `SpecError` where ``data`` does not fit ``schemas/<schema>``, saying where and how."""
    whole = json.loads(schema_text(schema))
    _check(data, whole, whole, "")


def _is(data: object, name: str) -> bool:
    return isinstance(data, _TYPES[name]) and (name not in ("integer", "number") or not isinstance(data, bool))


def _wrong(place: str, said: str) -> NoReturn:
    raise SpecError(f"{place.removeprefix('.') or 'the file'}: {said}")


def _shown(data: object) -> str:
    text = json.dumps(data, ensure_ascii=True)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _check(data: object, schema: Mapping[str, Any], whole: Mapping[str, Any], place: str) -> None:
    if unknown := schema.keys() - _WORDS:
        raise SpecError(f"internal error: this validator does not know {', '.join(sorted(unknown))}")
    if "$ref" in schema:
        _check(data, whole["$defs"][schema["$ref"].removeprefix("#/$defs/")], whole, place)
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(_is(data, name) for name in names):
            _wrong(place, f"expected {' or '.join(names)}, found {_shown(data)}")
    if "const" in schema and (type(data), data) != (type(schema["const"]), schema["const"]):
        _wrong(place, f"expected {_shown(schema['const'])}, found {_shown(data)}")
    if "enum" in schema and data not in schema["enum"]:
        _wrong(place, f"expected one of {_shown(schema['enum'])}, found {_shown(data)}")
    if "minimum" in schema and isinstance(data, int) and data < schema["minimum"]:
        _wrong(place, f"{data} is less than {schema['minimum']}")
    if isinstance(data, dict):
        _check_members(data, schema, whole, place)
    if isinstance(data, list) and "items" in schema:
        for number, each in enumerate(data):
            _check(each, schema["items"], whole, f"{place}[{number}]")


def _check_members(data: Mapping[str, object], schema: Mapping[str, Any], whole: Mapping[str, Any], place: str) -> None:
    for name in schema.get("required", ()):
        if name not in data:
            _wrong(place, f"`{name}` is missing")
    declared = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for name, value in data.items():
        if name in declared:
            _check(value, declared[name], whole, f"{place}.{name}")
        elif others is False:
            _wrong(place, f"`{_shown(name)[1:-1]}` is unknown")
        elif isinstance(others, dict):
            _check(value, others, whole, f"{place}.{_shown(name)[1:-1]}")


__all__ = ["check", "schema_text"]

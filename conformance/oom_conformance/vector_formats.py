"""Test vectors as JSON and as ITF.

``schemas/vectors-json.md`` and ``schemas/vectors-itf.md`` say what is in the files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from oom_conformance.interface import Value
from oom_conformance.validating import check
from oom_conformance.vectors import Breach, Race, Refused, Taken, Vector, Vectors
from oom_spec.language import SpecError

FORMAT = "oomspec-vectors"
"""What the JSON form calls itself."""

SCHEMA = 1
"""The version of both forms."""

JSON_SCHEMA = "vectors-1.schema.json"
"""The JSON form for machines, in ``schemas/``."""

READMES = {"json": "vectors-json.md", "itf": "vectors-itf.md"}
"""What is in the files of each format, in ``schemas/``."""

MOST_BYTES = 64 * 1024 * 1024
"""The largest file that is read."""


# -- JSON ------------------------------------------------------------------------------------------


def to_json(vectors: Vectors) -> str:
    """The JSON form: one object, one line per step."""
    head = {
        "format": FORMAT,
        "schema": SCHEMA,
        "era": vectors.era,
        "aliases": vectors.aliases,
        "scenario": vectors.scenario,
        "world": vectors.world,
        "names": vectors.names,
        "seen": vectors.seen,
        "runnable": vectors.runnable,
        "pairs": vectors.pairs,
    }
    lines = [f" {json.dumps(name)}: {json.dumps(value)}," for name, value in head.items()]
    written = ",\n".join(_vector_text(each) for each in vectors.vectors)
    return "\n".join(["{", *lines, ' "vectors": [' + (f"\n{written}\n ]" if written else "]"), "}", ""])


def _vector_text(vector: Vector) -> str:
    facts = ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in _facts(vector).items())
    steps = ",\n".join(f"   {json.dumps(_step(taken))}" for taken in vector.steps)
    return f'  {{{facts}, "steps": [' + (f"\n{steps}\n  ]" if steps else "]") + "}"


def _step(taken: Taken) -> dict[str, object]:
    ended = {"ended": True} if taken.ended else {}
    return {"action": taken.action, "changes": dict(taken.changes), "runnable": taken.runnable, **ended}


def _facts(vector: Vector) -> dict[str, object]:
    """Everything of a vector but its steps."""
    found: dict[str, object] = {
        "id": vector.id,
        "kind": "allowed" if vector.refused is None else "forbidden",
        "prefix": vector.prefix,
    }
    if vector.breaks:
        found["breaks"] = [{"property": each.property, "after": each.after} for each in vector.breaks]
    refused = vector.refused
    if refused is not None:
        shows = {"shows": dict(refused.shows)} if refused.shows else {}
        races = [{"property": each.property, "eras": each.eras, "rest": each.rest} for each in refused.races]
        found["refused"] = {"action": refused.action, "why": refused.why, **shows, "races": races}
    return found


# -- ITF -------------------------------------------------------------------------------------------


def to_itf(vectors: Vectors, vector: Vector) -> str:
    """One vector in the Informal Trace Format of Apalache: one state per step, from the cold start."""
    values = dict(zip(vectors.names, vectors.seen, strict=True))
    kinds: dict[type, str] = {bool: "Bool", int: "Int", str: "Str"}
    kind = "allowed" if vector.refused is None else "forbidden"
    meta = {
        "format": "ITF",
        "format-description": "https://apalache.informal.systems/docs/adr/015adr-trace.html",
        "vectors": SCHEMA,
        "description": f"era {vectors.era}, scenario {vectors.scenario}, {kind} vector {vector.id}",
        "era": vectors.era,
        "aliases": vectors.aliases,
        "scenario": vectors.scenario,
        "world": vectors.world,
        "pairs": vectors.pairs,
        **_facts(vector),
        "varTypes": {**{name: kinds[type(value)] for name, value in values.items()}, "runnable": "Set(Str)"},
    }
    states = [_state(0, "init", values, vectors.runnable, ended=False)]
    for number, taken in enumerate(vector.steps, 1):
        values.update(taken.changes)
        states.append(_state(number, taken.action, values, taken.runnable, ended=taken.ended))
    head = json.dumps({"#meta": meta, "vars": [*vectors.names, "runnable"]}, indent=1).removesuffix("\n}")
    return f'{head},\n "states": [\n  ' + ",\n  ".join(json.dumps(each) for each in states) + "\n ]\n}\n"


def _state(
    index: int, action: str, values: Mapping[str, Value], runnable: Sequence[str], *, ended: bool
) -> dict[str, object]:
    meta = {"index": index, "action": action, **({"ended": True} if ended else {})}
    return {"#meta": meta, **values, "runnable": {"#set": runnable}}


# -- reading ---------------------------------------------------------------------------------------


def read(path: Path) -> Vectors:
    """Read a file of either form; an ITF file holds one vector.

    Raises `SpecError`, with the file and what is wrong with it, for anything else.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SpecError(f"{path}: has more than {MOST_BYTES} bytes: this is no file of vectors")
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SpecError(f"{path}: this is no file of vectors but a binary file") from None
    try:
        return from_text(text)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None


def from_text(text: str) -> Vectors:
    """Read a text of either form.

    Raises `SpecError`.
    """
    data = _parsed(text)
    if not isinstance(data, dict):
        raise SpecError(f"this is no file of vectors: expected an object with `format`: `{FORMAT}`, or ITF")
    if isinstance(data.get("#meta"), dict):
        data = _from_itf(data)
    elif data.get("format") != FORMAT:
        raise SpecError(f"this is no file of vectors: expected an object with `format`: `{FORMAT}`, or ITF")
    if data.get("schema") != SCHEMA:
        raise SpecError(f"schema {_brief(data.get('schema'))} is not known here: this version reads schema {SCHEMA}")
    check(data, JSON_SCHEMA)
    found = _built(data)
    _sound(found)
    return found


def _parsed(text: str) -> object:
    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise SpecError("an object has two members of one name: the file is damaged; write it again")
        return found

    def constant(name: str) -> NoReturn:
        raise SpecError(f"{name} is no value: the file is damaged; write it again")

    try:
        return json.loads(text, object_pairs_hook=members, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise SpecError(
            f"line {error.lineno}: not valid JSON ({error.msg}): the file is damaged or cut off; write it again"
        ) from None
    except RecursionError:
        raise SpecError("lists within lists without end: this is no file of vectors") from None
    except ValueError:  # an integer of thousands of digits
        raise SpecError("a number is too large: this is no file of vectors") from None


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _built(data: Mapping[str, Any]) -> Vectors:
    return Vectors(
        era=data["era"],
        aliases=tuple(data["aliases"]),
        scenario=data["scenario"],
        world=data["world"],
        names=tuple(data["names"]),
        seen=tuple(data["seen"]),
        runnable=tuple(data["runnable"]),
        pairs=data["pairs"],
        vectors=tuple(_vector(each) for each in data["vectors"]),
    )


def _vector(data: Mapping[str, Any]) -> Vector:
    if (data["kind"] == "forbidden") != ("refused" in data):
        raise SpecError(f"vector {_brief(data['id'])}: `refused` belongs to the forbidden vectors, and to each of them")
    refused = data.get("refused")
    return Vector(
        id=data["id"],
        prefix=data["prefix"],
        steps=tuple(
            Taken(each["action"], each["changes"], tuple(each["runnable"]), each.get("ended", False))
            for each in data["steps"]
        ),
        breaks=tuple(Breach(each["property"], each["after"]) for each in data.get("breaks", ())),
        refused=None
        if refused is None
        else Refused(
            refused["action"],
            refused["why"],
            refused.get("shows", {}),
            tuple(
                Race(each["property"], tuple(each["eras"]), tuple(each["rest"])) for each in refused.get("races", ())
            ),
        ),
    )


def _sound(vectors: Vectors) -> None:
    """What the schema cannot say. Raises `SpecError`."""
    names = set(vectors.names)
    if len(names) != len(vectors.names):
        raise SpecError("`names` has a name twice: the file is damaged")
    if len(vectors.seen) != len(vectors.names):
        raise SpecError(f"`seen` has {len(vectors.seen)} values for {len(vectors.names)} names: the file is damaged")
    if vectors.world["id"] != vectors.scenario:
        raise SpecError(f"`world` is that of {_brief(vectors.world['id'])}, not of {_brief(vectors.scenario)}")
    known: set[str] = set()
    for vector in vectors.vectors:
        place = f"vector {_brief(vector.id)}"
        if vector.id in known:
            raise SpecError(f"{place}: comes twice")
        known.add(vector.id)
        if vector.prefix > len(vector.steps):
            raise SpecError(f"{place}: `prefix` is {vector.prefix}, beyond its {len(vector.steps)} steps")
        if any(each.after > len(vector.steps) for each in vector.breaks):
            raise SpecError(f"{place}: breaks a property beyond its {len(vector.steps)} steps: it is cut off")
        offered = vectors.runnable
        for number, taken in enumerate(vector.steps, 1):
            if unknown := taken.changes.keys() - names:
                raise SpecError(f"{place}, step {number}: changes {_brief(min(unknown))}, which `names` does not have")
            if taken.action not in offered:
                raise SpecError(
                    f"{place}, step {number}: takes {_brief(taken.action)}, which the step before does not offer"
                )
            offered = taken.runnable
        _refusal_is_sound(vector, offered, names, place)


def _refusal_is_sound(vector: Vector, offered: Sequence[str], names: set[str], place: str) -> None:
    refused = vector.refused
    if refused is None:
        return
    if unknown := refused.shows.keys() - names:
        raise SpecError(f"{place}: refuses {_brief(min(unknown))}, which `names` does not have")
    if refused.shows and (not vector.steps or vector.steps[-1].action != refused.action):
        raise SpecError(f"{place}: its last step is not the action whose effect it refuses: it is cut off")
    if not refused.shows and refused.action in offered:
        raise SpecError(f"{place}: offers the action that it refuses")


_META = ("era", "aliases", "scenario", "world", "pairs")
_FACTS = ("id", "kind", "prefix", "breaks", "refused")


def _from_itf(data: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON form of an ITF file; what is missing or of another type is left for the schema to find."""
    meta, names, states = data["#meta"], data.get("vars"), data.get("states")
    if meta.get("format") != "ITF" or "vectors" not in meta:
        raise SpecError("this is no file of vectors: its `#meta` is not that of an ITF file of vectors")
    if not isinstance(names, list) or not names or names[-1] != "runnable":
        raise SpecError("`vars` does not end with `runnable`: this ITF is no vector")
    if not isinstance(states, list) or not states:
        raise SpecError("`states` is missing or empty: this ITF is no vector")
    observed = names[:-1]
    if not all(isinstance(name, str) for name in observed):
        raise SpecError("`vars` has something else than names: this ITF is no vector")
    rows = [_row(number, state, observed) for number, state in enumerate(states)]
    steps = [
        {
            "action": row["action"],
            "changes": {
                name: new
                for name, old, new in zip(observed, before["seen"], row["seen"], strict=True)
                if (type(old), old) != (type(new), new)
            },
            "runnable": row["runnable"],
            **({"ended": row["ended"]} if "ended" in row else {}),
        }
        for before, row in pairwise(rows)
    ]
    return {
        "format": FORMAT,
        "schema": meta["vectors"],
        **{name: meta[name] for name in _META if name in meta},
        "names": observed,
        "seen": rows[0]["seen"],
        "runnable": rows[0]["runnable"],
        "vectors": [{**{name: meta[name] for name in _FACTS if name in meta}, "steps": steps}],
    }


def _row(number: int, state: object, names: Sequence[str]) -> dict[str, Any]:
    meta = state.get("#meta") if isinstance(state, dict) else None
    if not isinstance(state, dict) or not isinstance(meta, dict) or meta.get("index") != number:
        raise SpecError(f"state {number}: is no state, or not the one that its `index` says: the file is damaged")
    runnable = state.get("runnable")
    if not isinstance(runnable, dict) or "#set" not in runnable:
        raise SpecError(f"state {number}: `runnable` is no set")
    missing = [name for name in names if name not in state]
    if missing:
        raise SpecError(f"state {number}: has no value for {_brief(missing[0])}")
    found = {"action": meta.get("action"), "seen": [state[name] for name in names], "runnable": runnable["#set"]}
    return {**found, **({"ended": meta["ended"]} if "ended" in meta else {})}


__all__ = ["FORMAT", "JSON_SCHEMA", "MOST_BYTES", "READMES", "SCHEMA", "from_text", "read", "to_itf", "to_json"]

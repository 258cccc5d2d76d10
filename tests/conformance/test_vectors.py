"""Test vectors: complete, none superfluous, true, and refused exactly where they say."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
from jsonschema import Draft202012Validator
from referencing.exceptions import Unresolvable

from oom_conformance import validating
from oom_conformance.covering import _spared
from oom_conformance.interface import Capabilities
from oom_conformance.itself import Itself
from oom_conformance.lockstep import Kind, step_of
from oom_conformance.oracle import Oracle
from oom_conformance.validating import check, schema_text
from oom_conformance.vector_formats import JSON_SCHEMA, from_text, read, to_itf, to_json
from oom_conformance.vectors import Races, Vector, Vectors, build, play
from oom_spec.eras import find_era
from oom_spec.exploring import plain_graph, replay
from oom_spec.instances import Instance
from oom_spec.language import SpecError
from oom_spec.scenarios import find_scenario

SMALL = [
    ("mrelease-first-form", "mrelease-unmarked"),
    ("E4", "stuck"),
    ("E1", "init-shares"),
    ("E14", "mrelease-mlocked"),
]
"""Small enough for their graph to be made by plain stepping."""

RACES = Races([find_era(name) for name in ("E1", "E4", "E5", "E6", "E14", "arcangeli-first-no-oom-lock", "v6.18-dev")])
"""Some eras whose races others must not show: all of them take ten times as long."""


@cache
def vectors(era: str, scenario: str) -> Vectors:
    return build(find_era(era), find_scenario(scenario), RACES)


@cache
def instance(era: str, scenario: str) -> Instance:
    return Instance(find_era(era), find_scenario(scenario))


def pairs_of(vector: Vector) -> set[tuple[str, str]]:
    steps = [step_of(action) for action in vector.schedule[vector.prefix :]]
    return set(pairwise(steps))


@pytest.mark.parametrize(("era", "scenario"), SMALL)
def test_allowed_vectors_take_every_pair_of_steps_that_plain_stepping_finds(era: str, scenario: str) -> None:
    graph = plain_graph(instance(era, scenario))
    assert graph is not None
    reachable = {
        (step_of(one), step_of(other))
        for targets in graph.values()
        for one, behind in targets.items()
        for other in graph[behind]
    }
    found = vectors(era, scenario)
    assert set().union(*map(pairs_of, found.allowed)) == reachable
    assert found.pairs == len(reachable) > 10


def test_pairs_count_from_where_the_scenario_starts() -> None:
    found = vectors("E4", "marked")
    prefix = len(Oracle(find_era("E4"), find_scenario("marked")).prefix)
    assert {each.prefix for each in found.allowed} == {prefix}
    assert prefix > 0
    assert len(set().union(*map(pairs_of, found.allowed))) == found.pairs


@pytest.mark.parametrize(("era", "scenario"), [*SMALL, ("E4", "marked")])
def test_no_allowed_vector_is_superfluous(era: str, scenario: str) -> None:
    found = vectors(era, scenario).allowed
    shortest: dict[str, int] = {}
    for each in found:
        for breach in each.breaks:
            shortest[breach.property] = min(breach.after, shortest.get(breach.property, breach.after))

    def gives(kept: list[Vector]) -> tuple[object, ...]:
        pairs = set().union(*map(pairs_of, kept))
        steps = {step_of(action) for each in kept for action in each.schedule[each.prefix :]}
        breaches = {b.property for each in kept for b in each.breaks if b.after == shortest[b.property]}
        return pairs, steps, breaches

    whole = gives(list(found))
    assert [each.id for each in found if gives([other for other in found if other is not each]) == whole] == []


def test_walks_that_others_make_superfluous_go_and_their_superfluous_ends_too() -> None:
    labels = [0, 1, 2]
    assert _spared([[0, 1], [0, 1, 2]], [0, 0], labels) == [[0, 1, 2]]
    assert _spared([[0, 1], [0, 1, 2]], [2, 0], labels) == [[0, 1], [0, 1, 2]]
    assert _spared([[0, 1, 0, 2], [1, 0, 2, 1, 0]], [0, 0], labels) == [[0, 1], [1, 0, 2, 1]]


@pytest.mark.parametrize(("era", "scenario"), [*SMALL, ("E4", "marked")])
def test_allowed_vectors_replay_on_the_plain_steps(era: str, scenario: str) -> None:
    made = instance(era, scenario)
    named = {action.id: action for action in made.actions}
    for each in vectors(era, scenario).allowed:
        assert len(replay(made, [named[action] for action in each.schedule])) == len(each.steps) + 1


def test_a_race_of_the_era_is_marked_with_its_property_at_the_shortest_depth() -> None:
    known = {each.property: len(each.schedule) for each in RACES.of(find_era("E4"), find_scenario("marked"))}
    marked: dict[str, int] = {}
    for each in vectors("E4", "marked").allowed:
        for breach in each.breaks:
            marked[breach.property] = min(breach.after, marked.get(breach.property, breach.after))
    assert marked == known
    assert {"N1s", "N2r"} <= set(known)


@pytest.mark.parametrize(("era", "scenario"), [*SMALL, ("E4", "marked"), ("E5", "marked")])
def test_forbidden_vectors_are_refused_by_the_plain_steps_at_exactly_their_last_action(era: str, scenario: str) -> None:
    made = instance(era, scenario)
    named = {action.id: action for action in made.actions}
    for each in vectors(era, scenario).forbidden:
        assert each.refused is not None
        states = replay(made, [named[action] for action in each.schedule])
        if each.refused.shows:
            assert each.schedule[-1] == each.refused.action
            continue
        last = named.get(each.refused.action)
        if last is not None:
            with pytest.raises(SpecError, match="cannot be taken"):
                replay(made, [last], states[-1])


def test_a_forbidden_vector_with_a_race_is_one_in_the_era_that_it_names() -> None:
    found = [each for each in vectors("E5", "marked").forbidden if each.refused is not None and each.refused.races]
    assert any(race.property == "N1s" for each in found for race in (each.refused.races if each.refused else ()))
    for each in found:
        assert each.refused is not None
        for race in each.refused.races:
            middle = () if each.refused.shows else (each.refused.action,)
            other = instance(race.eras[0], "marked")
            named = {action.id: action for action in other.actions}
            replay(other, [named[action] for action in (*each.schedule, *middle, *race.rest)])
            known = {one.property: one.schedule for one in RACES.of(find_era(race.eras[0]), find_scenario("marked"))}
            assert known[race.property] == (*each.schedule, *middle, *race.rest)


def test_nothing_is_forbidden_twice() -> None:
    found = vectors("E5", "marked").forbidden
    facts = [(each.schedule, each.refused.action, str(each.refused.shows)) for each in found if each.refused]
    assert len(set(facts)) == len(facts) > 20


# -- playing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("era", "scenario"), [*SMALL, ("E4", "marked")])
def test_the_specification_conforms_to_its_own_vectors(era: str, scenario: str) -> None:
    found = vectors(era, scenario)
    played = play(found, Itself())
    assert played.difference is None
    assert (played.vectors, played.steps) == (len(found.vectors), sum(len(each.steps) for each in found.vectors))


@pytest.mark.parametrize(("era", "other"), [("E4", "E5"), ("E5", "E4"), ("E4", "E1")])
def test_an_implementation_of_another_era_is_found_out(era: str, other: str) -> None:
    played = play(vectors(era, "marked"), Itself(other))
    assert played.difference is not None
    assert played.vector == "allowed-001"


def only_forbidden(found: Vectors) -> Vectors:
    return attrs.evolve(found, vectors=found.forbidden)


class Lax(Itself):
    """Offers one action that it must not offer."""

    def __init__(self, more: str) -> None:
        super().__init__()
        self.more = more

    def runnable(self) -> tuple[str, ...]:
        """Too much."""
        return (*super().runnable(), self.more)


def test_what_a_forbidden_vector_refuses_is_reported_with_its_guard_and_what_it_breaks() -> None:
    found = only_forbidden(vectors("E5", "marked"))
    chosen = next(each for each in found.vectors if each.refused and each.refused.races and not each.refused.shows)
    assert chosen.refused is not None
    played = play(attrs.evolve(found, vectors=(attrs.evolve(chosen, steps=()),)), Lax(chosen.refused.action))
    assert played.difference is not None
    assert played.difference.kind is Kind.FORBIDDEN
    assert played.difference.actions == (chosen.refused.action,)
    assert chosen.refused.why in played.difference.reasons[0]
    assert chosen.refused.races[0].property in played.difference.reasons[0]


class Blind(Itself):
    """Sees one thing only."""

    def capabilities(self) -> Capabilities:
        """As it is."""
        return Capabilities("blind", observes=("Mm.mm_users",))

    def reset(self, era: str, world: Mapping[str, Any]) -> tuple[str, ...]:
        """The names of what it sees."""
        self._all = tuple(super().reset(era, world))
        return tuple(name for name in self._all if name.endswith(".mm_users"))

    def observe(self) -> tuple[bool | int | str, ...]:
        """What it sees."""
        return tuple(v for n, v in zip(self._all, super().observe(), strict=True) if n.endswith(".mm_users"))


def test_what_an_implementation_does_not_claim_to_see_is_not_compared() -> None:
    found = vectors("E4", "stuck")
    assert play(found, Blind()).difference is None

    class Claims(Blind):
        def capabilities(self) -> Capabilities:
            return Capabilities("claims all")

    difference = play(found, Claims()).difference
    assert difference is not None
    assert difference.kind is Kind.BROKEN
    assert "does not report" in difference.message


class Reports(Itself):
    """Says after every step that it found a fault."""

    def reports(self) -> list[str]:
        """What its own checks found."""
        return ["P1.t0 is used after it was freed"]


def test_what_its_own_checks_find_is_a_fault_where_no_race_is_known() -> None:
    difference = play(vectors("E4", "stuck"), Reports()).difference
    assert difference is not None
    assert difference.kind is Kind.REPORT
    assert "used after it was freed" in difference.message


def test_what_its_own_checks_find_after_a_race_of_the_era_is_no_fault() -> None:
    found = vectors("E4", "stuck")
    broken = [each for each in found.allowed if each.breaks]
    late = attrs.evolve(
        found, vectors=tuple(attrs.evolve(each, breaks=(attrs.evolve(each.breaks[0], after=1),)) for each in broken)
    )
    assert broken
    assert play(late, Reports()).difference is None


def test_an_implementation_that_raises_is_reported_and_one_of_other_eras_is_refused() -> None:
    class Crashes(Itself):
        def run(self, action: str) -> None:
            raise KeyError(action)

    difference = play(vectors("E4", "stuck"), Crashes()).difference
    assert difference is not None
    assert difference.kind is Kind.BROKEN
    assert len(difference.schedule) == 1

    class Other(Itself):
        def capabilities(self) -> Capabilities:
            return Capabilities("other", eras=("E5",))

    with pytest.raises(SpecError) as caught:
        play(vectors("E4", "stuck"), Other())
    assert str(caught.value) == "other does not know the era E4: play vectors of E5"


# -- the consumer in C -----------------------------------------------------------------------------

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "c"
COMPILER = shutil.which("cc")


def compiled(folder: Path, source: str, *more: str) -> Path:
    assert COMPILER is not None
    made = folder / source.removesuffix(".c")
    flags = ("-std=c11", "-Wall", "-Wextra", "-Werror", *more)
    subprocess.run([COMPILER, *flags, "-o", str(made), str(EXAMPLES / source)], check=True, timeout=60)
    return made


def played_in_c(folder: Path, text: str, *more: str) -> tuple[int, str]:
    file = folder / "vectors.json"
    file.write_text(text, "utf-8")
    words = [str(compiled(folder, "play_vectors.c")), str(file), str(compiled(folder, "oomspec_example.c", *more))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
def test_the_consumer_in_c_passes_the_example_in_c(tmp_path: Path) -> None:
    found = vectors("E4", "single")
    status, said = played_in_c(tmp_path, to_json(found))
    steps = sum(len(each.steps) for each in found.vectors)
    assert (status, said) == (0, f"{len(found.vectors)} vectors, {steps} steps: no difference\n")


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
@pytest.mark.parametrize("bug", [1, 2, 3])
def test_the_consumer_in_c_finds_each_planted_bug_of_the_example(tmp_path: Path, bug: int) -> None:
    status, said = played_in_c(tmp_path, to_json(vectors("E4", "single")), f"-DPLANTED_BUG={bug}")
    assert status == 1
    assert said.startswith('vector "')


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
def test_the_consumer_in_c_refuses_a_file_that_is_cut_off_and_another_era(tmp_path: Path) -> None:
    text = to_json(vectors("E4", "single"))
    assert played_in_c(tmp_path, text[: len(text) // 2])[0] == 2
    assert played_in_c(tmp_path, to_json(vectors("E5", "single")))[0] == 2


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("era", "scenario"), SMALL)
def test_json_reads_back_and_fits_its_schema(era: str, scenario: str) -> None:
    found = vectors(era, scenario)
    text = to_json(found)
    assert from_text(text) == found
    check(json.loads(text), JSON_SCHEMA)


def test_itf_reads_back_as_one_vector() -> None:
    found = vectors("E4", "marked")
    for each in (found.allowed[0], *found.forbidden):
        assert from_text(to_itf(found, each)) == attrs.evolve(found, vectors=(each,))


def test_itf_has_every_variable_in_every_state() -> None:
    found = vectors("E4", "stuck")
    data = json.loads(to_itf(found, found.allowed[0]))
    assert data["#meta"]["format"] == "ITF"
    assert all(set(state) == {"#meta", *data["vars"]} for state in data["states"])
    assert len(data["states"]) == len(found.allowed[0].steps) + 1


def test_the_readmes_name_every_member_of_the_schema() -> None:
    schema = json.loads(schema_text(JSON_SCHEMA))
    members = {*schema["properties"], *(n for part in schema["$defs"].values() for n in part.get("properties", ()))}
    text = schema_text("vectors-json.md")
    assert sorted(name for name in members if f"`{name}`" not in text) == []


def damaged(path: Path, text: str) -> str:
    path.write_text(text, "utf-8")
    with pytest.raises(SpecError) as caught:
        read(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    return said.removeprefix(f"{path}: ")


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    found = vectors("E4", "stuck")
    for text in (to_json(found), to_itf(found, found.allowed[0])):
        for length in range(0, len(text) - 2, max(1, len(text) // 97)):
            damaged(tmp_path / "cut.json", text[:length])


SETTINGS: list[tuple[list[str | int], object, str]] = [
    (["schema"], 2, "schema 2 is not known here: this version reads schema 1"),
    (["format"], "x", "this is no file of vectors: expected an object with `format`: `oomspec-vectors`, or ITF"),
    (["era"], 4, "era: 4 is not of type 'string'"),
    (["scenario"], "single", "`world` is that of 'stuck', not of 'single'"),
    (["seen"], [], "`seen` has 0 values for NAMES names: the file is damaged"),
    (["seen", 0], 1.5, "seen[0]: 1.5 is not of type 'boolean', 'integer', 'string'"),
    (["vectors", 0, "prefix"], -1, "vectors[0].prefix: -1 is less than the minimum of 0"),
    (["vectors", 0, "prefix"], True, "vectors[0].prefix: True is not of type 'integer'"),
    (["vectors", 0, "prefix"], 1.0, "vectors[0].prefix: 1.0 is not of type 'integer'"),
    (["vectors", 0, "prefix"], 10**6, "vector 'allowed-001': `prefix` is 1000000, beyond its STEPS steps"),
    (
        ["vectors", 0, "kind"],
        "forbidden",
        "vector 'allowed-001': `refused` belongs to the forbidden vectors, and to each of them",
    ),
    (["vectors", 0, "id"], "forbidden-001", "vector 'forbidden-001': comes twice"),
    (
        ["vectors", 0, "steps", 0, "action"],
        "x(y)",
        "vector 'allowed-001', step 1: takes 'x(y)', which the step before does not offer",
    ),
    (
        ["vectors", 0, "steps", 0, "changes"],
        {"x": 1},
        "vector 'allowed-001', step 1: changes 'x', which `names` does not have",
    ),
    (
        ["vectors", 0, "steps", 0, "more"],
        1,
        "vectors[0].steps[0]: Additional properties are not allowed ('more' was unexpected)",
    ),
    (
        ["vectors", 0, "steps", 0, "changes"],
        {"odd\nname": None},
        r"vectors[0].steps[0].changes['odd\nname']: None is not of type 'boolean', 'integer', 'string'",
    ),
    (
        ["vectors", 0, "kind"],
        "x" * 200,
        f"vectors[0].kind: '{'x' * 77}...{'x' * 38}' is not one of ['allowed', 'forbidden']",
    ),
    (["aliases"], None, "aliases: None is not of type 'array'"),
    (["vectors"], {}, "vectors: {} is not of type 'array'"),
]


@pytest.mark.parametrize(("where", "value", "said"), SETTINGS, ids=lambda each: str(each)[:40])
def test_a_damaged_file_is_refused_with_the_place(
    tmp_path: Path, where: list[str | int], value: object, said: str
) -> None:
    found = vectors("E4", "stuck")
    data = json.loads(to_json(found))
    at = data
    for each in where[:-1]:
        at = at[each]
    at[where[-1]] = value
    whole = said.replace("NAMES", str(len(found.names))).replace("STEPS", str(len(found.vectors[0].steps)))
    assert damaged(tmp_path / "damaged.json", json.dumps(data)) == whole


SCHEMAS = sorted(each.name for each in (files("oom_conformance") / "schemas").iterdir() if ".schema." in each.name)

STRICT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:oomspec:strict",
    "$dynamicAnchor": "meta",
    "$ref": "https://json-schema.org/draft/2020-12/schema",
    "unevaluatedProperties": False,
}
"""The schema of schemas, which alone would pass over a word that is misspelt."""


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_use_the_words_of_the_draft_and_no_others(name: str) -> None:
    errors = Draft202012Validator(STRICT).iter_errors(json.loads(schema_text(name)))
    assert [f"{each.json_path}: {each.message}" for each in errors] == []


def test_a_file_with_many_and_large_faults_is_refused_in_one_short_line_in_time() -> None:
    data = json.loads(to_json(vectors("E4", "stuck")))
    data["seen"] = [["x" * 1000] for _ in range(20_000)]
    started = time.monotonic()
    with pytest.raises(SpecError) as caught:
        check(data, JSON_SCHEMA)
    assert time.monotonic() - started < 20
    assert str(caught.value) == (
        f"seen[19999]: ['{'x' * 76}...{'x' * 30}'] is not of type 'boolean', 'integer', 'string'"
    )


def test_lists_deeper_than_the_stack_are_refused() -> None:
    deep: list[object] = []
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(SpecError) as caught:
        check({"seen": deep}, JSON_SCHEMA)
    assert str(caught.value) == "the file: lists within lists without end"


def test_a_schema_elsewhere_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[object] = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda *each, **_: fetched.append(each))
    monkeypatch.setattr(validating, "schema_text", lambda _: '{"$ref": "http://localhost:9/schema.json"}')
    with pytest.raises(Unresolvable):
        check({}, "elsewhere.schema.json")
    assert fetched == []


HOSTILE = [
    ("[" * 100_000, "lists within lists without end: this is no file of vectors"),
    (
        '{"format": "oomspec-vectors", "schema": ' + "9" * 10_000 + "}",
        "a number is too large: this is no file of vectors",
    ),
    ('{"schema": NaN}', "NaN is no value: the file is damaged; write it again"),
    ('{"schema": 1, "schema": 1}', "an object has two members of one name: the file is damaged; write it again"),
    ("[]", "this is no file of vectors: expected an object with `format`: `oomspec-vectors`, or ITF"),
    ("", "line 1: not valid JSON (Expecting value): the file is damaged or cut off; write it again"),
    ('{"#meta": {}}', "this is no file of vectors: its `#meta` is not that of an ITF file of vectors"),
]


@pytest.mark.parametrize(("text", "said"), HOSTILE, ids=lambda each: str(each)[:20])
def test_a_hostile_file_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    assert damaged(tmp_path / "hostile.json", text) == said


def test_what_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "binary.json"
    file.write_bytes(b"\xff\xfe\x00")
    for path, said in ((file, "this is no file of vectors but a binary file"), (tmp_path / "none", "No such file")):
        with pytest.raises(SpecError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: {said}")

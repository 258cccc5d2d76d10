"""ABC, a model checker for hardware, says of circuits what the explorer says; skipped where it is not installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import attrs
import pytest

from oom_spec.aiger import as_binary
from oom_spec.eras import all_eras, find_era
from oom_spec.exploring import Exploration, Hit, replay
from oom_spec.hardware import circuit_of, unfit
from oom_spec.instances import Instance
from oom_spec.language.terms import conjoin, show
from oom_spec.packing import Packing
from oom_spec.properties import PROPERTIES, find_properties
from oom_spec.scenarios import find_scenario
from oom_spec.witnesses import run_in

from .circuits import Netlist, read, rows

ABC = shutil.which("berkeley-abc") or shutil.which("yosys-abc")
SECONDS = 30

pytestmark = pytest.mark.skipif(ABC is None, reason="neither berkeley-abc nor yosys-abc is installed")


@attrs.frozen
class Answer:
    """What ABC said."""

    proved: bool
    frame: int | None
    """The moment of the violation that it found, counted from 0."""
    witness: tuple[str, ...]
    """The state at the start and the inputs of each frame, as strings of bits."""


def ask(instance: Instance, name: str, method: str, folder: Path) -> tuple[Netlist, Answer]:
    """Run ABC on the circuit of one property: ``pdr`` proves or refutes, ``bmc3`` finds a shortest violation."""
    assert ABC is not None
    content = as_binary(circuit_of(instance, find_properties(name)))
    (folder / "circuit.aig").write_bytes(content)
    done = subprocess.run(
        [ABC, "-q", f"read_aiger circuit.aig; {method}; write_cex -a circuit.cex"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    found = re.search(r"was asserted in frame (\d+)", done.stdout)
    proved = "Property proved" in done.stdout
    assert proved or found is not None, done.stdout + done.stderr
    witness = (folder / "circuit.cex").read_text("ascii").split("#")[0].split() if found is not None else []
    return read(content), Answer(proved, None if found is None else int(found[1]), tuple(witness))


def hit_of(instance: Instance, name: str) -> tuple[Exploration, Hit | None]:
    """The explorer's shortest violation, excused or not: the circuit has a bad state for each."""
    exploration = Exploration(instance, find_properties(name))
    return exploration, exploration.findings[name].violated_strictly


def follow(netlist: Netlist, answer: Answer) -> tuple[list[int], list[int], int]:
    """The states of a witness, packed, the choices made in them, and whether its last moment is bad, by simulation."""
    start, *moments = answer.witness
    assert [int(bit) for bit in start] == [reset for _, _, reset in netlist.latches]
    state, states, bad = [int(bit) for bit in start], [], [0]
    for position, moment in enumerate(moments):
        assert not any(bad), f"bad already in moment {position - 1}"
        states += rows(state, 1)
        state, bad = netlist.run(state, [int(bit) for bit in moment], 1)
    return states + rows(state, 1), [int(moment[::-1], 2) for moment in moments], int(any(bad))


def length_of(instance: Instance, name: str, netlist: Netlist, answer: Answer) -> int:
    """How many steps a witness takes, once plain steps have taken them and the property has been seen to fail."""
    (subject,) = find_properties(name)
    states, choices, bad = follow(netlist, answer)
    assert bad == 1
    assert len(choices) == (answer.frame or 0) + 1
    packing = Packing(instance)
    before = packing.unpack(states[-2])
    moves = zip(choices[:-1], states, states[1:], strict=False)
    run = [instance.paths[choice].action for choice, here, there in moves if here != there]
    assert replay(instance, run, packing.unpack(states[0]))[-1] == before
    if subject.event is None:  # what is chosen in the bad state does not matter
        told = [check.arguments for check in instance.invariants(subject)]
    else:
        last = instance.paths[choices[-1]].action
        run.append(last)
        instance.concrete.run(last.step, last.arguments, before)
        told = [each.arguments for each in instance.concrete.events if each.event is subject.event]
    holds = instance.holds
    assert any(holds(subject.when, each, before) and not holds(subject.then, each, before) for each in told)
    text = "\n".join(answer.witness)
    assert run_in(instance, subject, text).depth == len(run)
    return len(run)


HOLD = [
    ("v4.15", "single", "N2x"),
    ("v4.15", "single", "N2r"),
    ("v4.15", "marked", "N1s"),
    ("v4.15", "single", "count-range"),
    ("v6.1", "mrelease-unmarked", "S1"),
    ("v6.1", "mrelease", "M1"),
]


@pytest.mark.parametrize(("era", "scenario", "name"), HOLD)
def test_abc_proves_what_holds(era: str, scenario: str, name: str, tmp_path: Path) -> None:
    instance = Instance(find_era(era), find_scenario(scenario))
    assert hit_of(instance, name)[1] is None
    _, answer = ask(instance, name, "pdr", tmp_path)
    assert answer.proved


VIOLATED = [
    ("v4.6", "marked", "N1s"),
    ("v4.6", "marked", "S5r"),
    ("v4.12", "marked", "N2r"),
    ("v4.12", "frozen", "L5"),
    ("v4.14", "tlb", "S9"),
    ("v5.17-rc", "mrelease-unmarked", "S1"),
]


@pytest.mark.parametrize(("era", "scenario", "name"), VIOLATED)
def test_abc_finds_a_violation_of_the_same_length(era: str, scenario: str, name: str, tmp_path: Path) -> None:
    instance = Instance(find_era(era), find_scenario(scenario))
    _, hit = hit_of(instance, name)
    assert hit is not None
    netlist, answer = ask(instance, name, "bmc3", tmp_path)
    assert length_of(instance, name, netlist, answer) == hit.depth


@pytest.mark.parametrize(("era", "scenario", "name"), VIOLATED)
def test_a_proof_attempt_of_abc_ends_in_a_violation_that_is_one(
    era: str, scenario: str, name: str, tmp_path: Path
) -> None:
    instance = Instance(find_era(era), find_scenario(scenario))
    _, hit = hit_of(instance, name)
    assert hit is not None
    netlist, answer = ask(instance, name, "pdr", tmp_path)
    assert length_of(instance, name, netlist, answer) >= hit.depth


def test_abc_refutes_what_a_dropped_guard_breaks(tmp_path: Path) -> None:
    """exit_mmap takes mmap_lock for writing though process_mrelease reads: S1, proved above, fails."""
    instance = Instance(find_era("v6.1"), find_scenario("mrelease-unmarked"))
    (lock,) = (path for path in instance.paths if path.action.id == "mm.exit_mmap.mmap_write_lock(mm0)")
    kept = [part for part in lock.condition.args if "mrelease.reads" not in show(part)]
    assert len(kept) == len(lock.condition.args) - 1
    changed = [attrs.evolve(path, condition=conjoin(*kept)) if path is lock else path for path in instance.paths]
    instance.__dict__["_grounded"] = tuple(changed), instance.constants
    _, hit = hit_of(instance, "S1")
    assert hit is not None
    _, answer = ask(instance, "S1", "bmc3", tmp_path)
    assert answer.frame == hit.depth


@pytest.mark.slow
@pytest.mark.parametrize("era", [era.id for era in all_eras()])
def test_abc_and_the_explorer_agree_on_every_property_of_an_era(era: str, tmp_path: Path) -> None:
    instance = Instance(find_era(era), find_scenario("mrelease-unmarked"))
    for subject in PROPERTIES:
        if unfit(instance, subject) or all(literal == 0 for _, literal in circuit_of(instance, [subject]).bad):
            continue
        _, hit = hit_of(instance, subject.id)
        netlist, answer = ask(instance, subject.id, "pdr", tmp_path)
        assert answer.proved == (hit is None), subject.id
        assert hit is None or length_of(instance, subject.id, netlist, answer) >= hit.depth

"""A witness of a model checker is read back as the run that it is, or refused in one line."""

from __future__ import annotations

import pytest

from oom_spec.eras import find_era
from oom_spec.exploring import Exploration, Hit
from oom_spec.hardware import choice_width
from oom_spec.instances import Instance
from oom_spec.language import SpecError
from oom_spec.properties import find_properties
from oom_spec.scenarios import find_scenario
from oom_spec.traces import run_to
from oom_spec.witnesses import run_in


def instance_of(era: str, scenario: str) -> Instance:
    return Instance(find_era(era), find_scenario(scenario))


def written(exploration: Exploration, hit: Hit) -> list[str]:
    """The explorer's run as a witness: the latches, and the inputs of each moment."""
    width = choice_width(exploration.instance)
    start = f"{next(iter(exploration.parents)):0{exploration.packing.bits}b}"[::-1]
    choices = exploration.path_numbers(hit) + [0] * (hit.path is None)
    return [start, *(f"{number:0{width}b}"[::-1] for number in choices)]


def explored(era: str, scenario: str, name: str) -> tuple[Exploration, Hit]:
    exploration = Exploration(instance_of(era, scenario), find_properties(name))
    hit = exploration.findings[name].violated
    assert hit is not None
    return exploration, hit


@pytest.mark.parametrize(
    ("era", "scenario", "name"),
    [("v4.12", "marked", "N1s"), ("v5.17-rc", "mrelease-unmarked", "S1"), ("v4.12", "exiting-sharer", "N1v")],
)
def test_the_explorers_run_comes_back_from_its_witness(era: str, scenario: str, name: str) -> None:
    exploration, hit = explored(era, scenario, name)
    (subject,) = find_properties(name)
    lines = written(exploration, hit)
    wanted = run_to(exploration, hit, subject)
    assert run_in(exploration.instance, subject, "\n".join(lines) + "# DONE\n") == wanted
    assert run_in(exploration.instance, subject, "\n".join(["1", "b0", *lines, "."]) + "\n") == wanted


def test_moments_without_a_step_and_bits_that_do_not_matter_are_left_out() -> None:
    exploration, hit = explored("v4.12", "marked", "N2r")
    (subject,) = find_properties("N2r")
    start, *moments = written(exploration, hit)
    idle = "1" * choice_width(exploration.instance)
    assert int(idle, 2) >= len(exploration.instance.paths)
    text = "\n".join(["x" * len(start), idle, moments[0], idle, moments[0], *moments[1:], idle])
    assert run_in(exploration.instance, subject, text) == run_to(exploration, hit, subject)


def test_a_run_that_only_an_excuse_covers_says_so() -> None:
    exploration = Exploration(instance_of("hocko-2017-07-24", "marked"), find_properties("N2r"))
    name, hit = min(exploration.findings["N2r"].excuses.items(), key=lambda each: each[1].depth)
    (subject,) = find_properties("N2r")
    run = run_in(exploration.instance, subject, "\n".join(written(exploration, hit)))
    (excuse,) = (member for member in subject.excuse_members if member.name == name)
    assert (run.depth, run.excuse) == (hit.depth, excuse.value)


FORM = (
    "this is no witness in AIGER's form: expected a line of bits for the latches and one per moment for the inputs, "
    "as ABC's `write_cex -a FILE` writes them"
)


@pytest.mark.parametrize("text", ["", "# DONE", "hello\nworld", "0101", "1\nb0\n010\n.\n", "01\n\n01\n01"])
def test_a_text_that_is_no_witness_is_refused(text: str) -> None:
    with pytest.raises(SpecError) as refusal:
        run_in(instance_of("v4.12", "marked"), find_properties("N1s")[0], text)
    assert str(refusal.value) == FORM


def test_a_witness_of_something_else_is_refused() -> None:
    exploration, hit = explored("v4.12", "marked", "N2r")
    text = "\n".join(written(exploration, hit))

    def refused(era: str, scenario: str, name: str) -> str:
        with pytest.raises(SpecError) as refusal:
            run_in(instance_of(era, scenario), find_properties(name)[0], text)
        return str(refusal.value)

    other = "this is a witness of another circuit: "
    assert refused("v4.14", "marked", "N2r") == other + "E5 in marked has 91 latches and 7 inputs"
    assert refused("v4.12", "single", "N2r") == other + "it does not begin as single does"
    assert refused("v4.12", "marked", "N1s") == (
        "N1s is not violated by this run of 13 steps: is it a witness of another property?"
    )
    assert refused("v4.12", "marked", "L1").startswith("L1 speaks of the whole graph of states")

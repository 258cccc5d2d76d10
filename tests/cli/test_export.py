"""`oomspec export`: what is written, and the one line that it says for a user's mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oom_spec.eras import find_era
from oom_spec.exploring import Exploration
from oom_spec.instances import Instance
from oom_spec.properties import find_properties
from oom_spec.scenarios import find_scenario

from .conftest import Run
from .running import shell

MARKED = ("export", "aiger", "v4.12", "marked")


def test_a_circuit_goes_to_a_file_in_the_form_of_its_name(oomspec: Run, tmp_path: Path) -> None:
    text, binary = tmp_path / "n1s.aag", tmp_path / "n1s.aig"
    done = oomspec(*MARKED, "N1s", "-o", str(text))
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[0].startswith(f"wrote {text}: E4 (v4.9 - v4.12) in marked, 7 inputs, 80 latches, ")
    assert done.out.splitlines()[1:] == ["    bad state 0: N1s", "    bad state 1: N1s-without-excuse"]
    assert oomspec(*MARKED, "N1s", "-o", str(binary)).status == 0
    assert (text.read_bytes()[:4], binary.read_bytes()[:4]) == (b"aag ", b"aig ")


def test_without_a_file_the_circuit_is_printed_and_nothing_else(oomspec: Run, tmp_path: Path) -> None:
    file = tmp_path / "n1s.aag"
    oomspec(*MARKED, "N1s", "-o", str(file))
    assert oomspec(*MARKED, "N1s").out == file.read_text("utf-8")


def test_json_says_what_was_written(oomspec: Run, tmp_path: Path) -> None:
    file = tmp_path / "n2r.aig"
    told = json.loads(oomspec(*MARKED, "N2r", "-o", str(file), "--json").out)
    assert told.pop("gates") > 500
    assert told == {
        "schema": 1,
        "era": "E4",
        "scenario": "marked",
        "file": str(file),
        "bad": ["N2r", "N2r-without-excuse"],
        "inputs": 7,
        "latches": 80,
    }


def test_of_all_properties_those_without_a_bad_state_are_left_out_aloud(oomspec: Run, tmp_path: Path) -> None:
    done = oomspec(*MARKED, "all", "N1s", "-o", str(tmp_path / "all.aig"))
    assert done.status == 0
    assert done.out.count("N1s\n") == 1
    left_out, constant = done.err.splitlines()
    assert left_out == "oomspec: left out, for they have no bad state here: N2q, S5m, M1, S11, L1, L4, deadlock"
    assert constant.startswith("oomspec: constantly false in marked, so nothing is left to prove: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("v4.99", "single", "N1s"), "unknown era 'v4.99'; did you mean 'v4.9'? `oomspec eras` lists them all"),
        (
            ("v4.12", "singles", "N1s"),
            "unknown scenario 'singles'; did you mean 'single'? `oomspec scenarios` lists them all",
        ),
        (("v4.12", "single", "Q9"), "unknown property 'Q9'; did you mean 'S9'? `oomspec properties` lists them all"),
        (
            ("v4.12", "single", "L1"),
            "L1 speaks of the whole graph of states, so no bad state expresses it: use `oomspec check`",
        ),
        (("v4.12", "single", "M1"), "M1 does not apply to E4: there is no process_mrelease"),
        (("v4.12", "single", "N1s", "--json"), "--json says what was written to a file: name one with --output FILE"),
        (
            ("v4.12", "single", "N1s", "-o", "n1s.txt"),
            "n1s.txt: which form? End the name in .aag (ASCII) or .aig (binary, which ABC reads)",
        ),
        (("v4.12", "single", "N1s", "-o", "nowhere/n1s.aig"), "nowhere/n1s.aig: No such file or directory"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_mistake_is_one_clear_line(oomspec: Run, arguments: tuple[str, ...], message: str) -> None:
    done = oomspec("export", "aiger", *arguments)
    assert (done.status, done.out, done.err) == (2, "", f"oomspec: {message}\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "full.aig").symlink_to("/dev/full")
    done = shell(
        "oomspec export aiger v4.12 marked N1s -o full.aig; oomspec export aiger v4.12 marked N1s > /dev/full", tmp_path
    )
    assert done.status == 2
    assert done.err.splitlines() == [
        "oomspec: full.aig: No space left on device",
        "oomspec: cannot write the output: No space left on device",
    ]


def test_a_file_that_cannot_be_written_whole_is_not_left(tmp_path: Path) -> None:
    done = shell("trap '' XFSZ; ulimit -f 4; oomspec export aiger v4.12 marked N1s -o n1s.aag", tmp_path)
    assert (done.status, done.err) == (2, "oomspec: n1s.aag: File too large\n")
    assert list(tmp_path.iterdir()) == []


# -- witnesses -------------------------------------------------------------------------------


@pytest.fixture
def witness() -> bytes:
    """Of N2r in v4.12, as the explorer finds it."""
    exploration = Exploration(Instance(find_era("v4.12"), find_scenario("marked")), find_properties("N2r"))
    hit = exploration.findings["N2r"].violated
    assert hit is not None
    start = f"{next(iter(exploration.parents)):080b}"[::-1]
    return "\n".join([start, *(f"{number:07b}"[::-1] for number in exploration.path_numbers(hit))]).encode("ascii")


def test_a_witness_is_drawn_as_explain_draws_the_race(oomspec: Run, tmp_path: Path, witness: bytes) -> None:
    (tmp_path / "n2r.cex").write_bytes(witness)
    drawn = oomspec("explain", "v4.12", "N2r", "--scenario", "marked").out
    assert oomspec("export", "witness", "v4.12", "marked", "N2r", str(tmp_path / "n2r.cex")).out == drawn
    assert oomspec("export", "witness", "v4.12", "marked", "N2r", "-", stdin=witness).out == drawn
    told = oomspec("export", "witness", "v4.12", "marked", "N2r", "-", "--json", stdin=witness).out
    assert json.loads(told)["depth"] == 13


def test_a_file_that_is_no_witness_is_one_clear_line(oomspec: Run, witness: bytes) -> None:
    asked = ("export", "witness", "v4.12", "marked")
    done = oomspec(*asked, "N1", "-", stdin=witness)
    assert (done.status, done.err) == (2, "oomspec: 'N1' means N1s, N1v: name one of them\n")
    done = oomspec(*asked, "N2r", "-", stdin=b"aig \xff")
    assert (done.status, done.err) == (
        2,
        "oomspec: -: this is no witness but a binary file: expected what `write_cex -a` writes\n",
    )
    done = oomspec(*asked, "N2r", "nowhere.cex")
    assert (done.status, done.err) == (2, "oomspec: nowhere.cex: No such file or directory\n")

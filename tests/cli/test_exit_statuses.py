"""What each command exits with, and the one line that it says for a user's mistake."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from oom_smt.claims import Outcome
from oom_spec import manifest
from oom_spec.scenarios import find_scenario
from oom_spec.verdicts import Word

from .conftest import Run

QUICK = ("--scenario", "single", "--z3-seconds", "0.3")
TABLE = ("matrix", "E4", "E5", "--property", "N1s", "--jobs", "1", "--z3-seconds", "0")


@pytest.fixture
def one_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    """The matrix runs in one small scenario."""
    monkeypatch.setattr("oomspec.commands.matrix.SCENARIOS", (find_scenario("single"),))


def race(oomspec: Run) -> str:
    return oomspec("explain", "E4", "N1s", "--scenario", "marked").out


# -- verdicts --------------------------------------------------------------------------------


def test_check_exits_0_where_it_holds(oomspec: Run) -> None:
    done = oomspec("check", "E5", "N1s", *QUICK)
    assert (done.status, done.out) == (0, "N1s         proved-instance\n    every reachable state of: single\n")


def test_check_exits_1_where_it_is_violated_even_if_expected(oomspec: Run) -> None:
    done = oomspec("check", "E4", "N1s", *QUICK)
    assert (done.status, done.out.splitlines()[0]) == (1, "N1s         violated at 40")


def test_check_exits_3_where_the_time_ran_out(oomspec: Run) -> None:
    done = oomspec("check", "E5", "N1s", "--scenario", "single", "--timeout", "0")
    assert (done.status, done.out.splitlines()[0]) == (3, "N1s         unknown  (time or states ran out)")


def test_check_exits_1_where_one_is_violated_and_one_unknown(oomspec: Run) -> None:
    done = oomspec("check", "E4", "N1s", "deadlock", "--method", "bounded", "--bound", "20", "--scenario", "marked")
    assert (done.status, "violated at 20" in done.out, "unknown" in done.out) == (1, True, True)


def test_a_bounded_result_says_so_and_nothing_says_proved(oomspec: Run) -> None:
    arguments = ("check", "E5", "N1s", "--method", "bounded", "--bound", "10", "--scenario", "single", "-v")
    done = oomspec(*arguments)
    assert (done.status, done.out.splitlines()[0]) == (0, "N1s         bounded 10")
    assert "proved" not in done.out + oomspec(*arguments, "--json").out.replace('"expected": "proved-instance"', "")


def test_the_explorer_alone_needs_no_z3_to_decide(oomspec: Run) -> None:
    done = oomspec("check", "E4", "N1s", "--scenario", "marked", "--method", "explore", "-v")
    assert (done.status, "explorer: " in done.out, "z3" in done.out) == (1, True, False)


@pytest.mark.usefixtures("one_scenario")
def test_matrix_exits_0_where_all_agree_with_the_manifest(oomspec: Run) -> None:
    done = oomspec(*TABLE)
    assert (done.status, done.out.splitlines()[:3]) == (
        0,
        ["                   N1s", "E4 (v4.9 - v4.12)  X40", "E5 (v4.14)         +"],
    )
    assert done.out.rstrip().endswith("all agree with the manifest")


@pytest.mark.usefixtures("one_scenario")
def test_matrix_exits_1_where_the_manifest_says_otherwise(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    cells, claims = manifest.load()
    changed = {**cells, ("E4", "N1s"): attrs.evolve(cells["E4", "N1s"], violated_in={"single": 39})}
    monkeypatch.setattr("oom_spec.manifest.load", lambda: (changed, claims))
    done = oomspec(*TABLE)
    assert (done.status, done.out.splitlines()[1]) == (1, "E4 (v4.9 - v4.12)  X40!")
    assert "differs: E4 N1s: single: violated at 40, expected violated at 39" in done.out.splitlines()


@pytest.mark.usefixtures("one_scenario")
def test_matrix_exits_3_where_a_cell_is_unknown(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oom_smt.matrix.Matrix.run", lambda self, progress: None)
    done = oomspec(*TABLE)
    assert (done.status, done.out.splitlines()[1]) == (3, "E4 (v4.9 - v4.12)  ?!")


def test_claims_exits_0_where_all_come_out_as_recorded_and_1_otherwise(
    oomspec: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells, claims = manifest.load()
    settled = {name: Outcome(name, text, (), (), 0.0) for name, text in claims.items()}
    monkeypatch.setattr("oomspec.commands.claims.decide_claims", lambda *arguments, **named: settled)
    assert oomspec("claims", "1").status == 0
    first = next(name for name in claims if name.startswith("1"))
    monkeypatch.setattr("oomspec.commands.claims.load", lambda: (cells, {**claims, first: "violated at 1"}))
    done = oomspec("claims", "1")
    assert (done.status, done.out.rstrip().endswith(f"1 differ from the manifest: {first}")) == (1, True)
    settled[first] = attrs.evolve(settled[first], text="unknown")
    assert oomspec("claims", "1").status == 3


def test_claims_are_decided_in_the_run(oomspec: Run) -> None:
    done = oomspec("claims", "1", "--z3-seconds", "0", "--jobs", "1")
    assert (done.status, "violated at 50     strawman-lock-before-unmap, ten-retries" in done.out) == (0, True)


def test_explain_says_that_it_holds_and_exits_0(oomspec: Run) -> None:
    done = oomspec("explain", "E5", "N1s", "--scenario", "marked")
    assert (done.status, done.out) == (0, "N1s holds in E5 (v4.14): every reachable state was visited in marked\n")


def test_explain_writes_no_sentence_into_a_file_of_another_form(oomspec: Run) -> None:
    done = oomspec("explain", "E5", "N1s", "--scenario", "marked", "--as", "svg")
    assert (done.status, done.out) == (0, "")
    assert done.err == "N1s holds in E5 (v4.14): every reachable state was visited in marked\n"


def test_explain_says_that_it_does_not_apply_and_exits_0(oomspec: Run) -> None:
    done = oomspec("explain", "E4", "N2q")
    assert (done.status, done.out) == (
        0,
        "N2q does not apply to E4 (v4.9 - v4.12): exit_mmap never takes mmap_sem\n",
    )


def test_replay_exits_0_where_the_era_allows_the_run_and_1_where_not(oomspec: Run) -> None:
    drawn = race(oomspec).encode()
    allowed = oomspec("replay", "-", "--era", "E4", stdin=drawn)
    refused = oomspec("replay", "-", "--era", "E5", stdin=drawn)
    assert (allowed.status, allowed.out.splitlines()[0]) == (
        0,
        "E4 (v4.9 - v4.12) allows this run in marked: 20 steps, 20 named, 0 filled in",
    )
    assert refused.status == 1
    assert refused.out == (
        "E5 (v4.14) does not allow this run in marked: line 18: `mmget_not_zero` names no step of the reaper in v4.14\n"
    )


@pytest.mark.parametrize("form", ["json", "itf"])
def test_replay_reads_the_runs_that_explain_writes(oomspec: Run, form: str) -> None:
    drawn = race(oomspec)
    written = oomspec("explain", "E4", "N1s", "--scenario", "marked", "--as", form).out.encode()
    done = oomspec("replay", "-", "--era", "E4", stdin=written)
    assert (done.status, "    N1s breaks at line 37\n" in done.out) == (0, True)
    assert drawn.splitlines()[2:26] == done.out.splitlines()[2:26]
    assert oomspec("replay", "-", "--era", "E5", stdin=written).status == 1


# -- mistakes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("matrixx", "no such command 'matrixx'; did you mean 'matrix'?"),
        ("zzzz", "no such command 'zzzz'; `oomspec --help` lists them all"),
        ("check", "Missing argument 'ERA'; `oomspec check --help` says how"),
        ("check E5 N1s --bound -3", "Invalid value for '--bound': -3 is not in the range x>=0; `{check}` says how"),
        (
            "check E5 N1s --timeout -1",
            "Invalid value for '--timeout': -1.0 is not in the range x>=0; `{check}` says how",
        ),
        (
            "check E5 N1s --timeout nan",
            "Invalid value for '--timeout': 'nan' is not a number of seconds; `{check}` says how",
        ),
        (
            "check E5 N1s --method induct",
            "Invalid value for '--method': 'induct' is not one of 'auto', 'explore', 'bounded'; `{check}` says how",
        ),
        ("claims 99", "unknown question '99': there are 1, 2, 3a, 3b, 3c, 4"),
        ("explain E4 N1", "'N1' means N1s, N1v: name one of them"),
        ("show E5 xyzzy", "E5 has no step 'xyzzy'; `oomspec show E5` lists them all"),
        ("show E5 tlb_gather_mmuu", "E5 has no step 'tlb_gather_mmuu'; did you mean 'mm.exit_mmap.tlb_gather_mmu'?"),
        ("replay race.txt", "Missing option '--era'; `oomspec replay --help` says how"),
        ("matrix E4 --junit no/such/report.xml", "no/such/report.xml: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(oomspec: Run, arguments: str, message: str) -> None:
    done = oomspec(*arguments.split())
    expected = f"oomspec: {message.format(check='oomspec check --help')}\n"
    assert (done.status, done.out, done.err) == (2, "", expected)


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ("check E55 N1s", "unknown era 'E55'; did you mean "),
        ("check hocko-2017-07-25 N1s", "unknown era 'hocko-2017-07-25'; did you mean 'hocko-2017-07-24'?"),
        ("check E5 N1z", "unknown property 'N1z'; did you mean 'N1"),
        ("check E5 N1s --scenario markd", "unknown scenario 'markd'; did you mean 'marked'?"),
    ],
)
def test_an_unknown_name_brings_the_nearest_one(oomspec: Run, arguments: str, start: str) -> None:
    done = oomspec(*arguments.split())
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith(f"oomspec: {start}")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", b"", "the file is empty: expected a race diagram, or one call per line"),
        (
            "binary.dat",
            b"\x7fELF\xff\xfe\x00",
            "{path}: not a text file in UTF-8 (byte 4): expected a race diagram or a list of calls",
        ),
        (
            "letter.txt",
            b"Dear all,\nhello.\n",
            "no diagram found: expected at least 2 lines in a row that name calls, such as `oom_reap_task`",
        ),
        (
            "cut.json",
            b'{"schema": 1,',
            (
                "line 1: not valid JSON (Expecting property name enclosed in double quotes): "
                "the file is damaged or cut off; write it again"
            ),
        ),
        (
            "other.itf.json",
            b'{"#meta": {}, "states": []}',
            "this ITF trace names no era, scenario and actions: `replay` reads those of `oomspec explain --as itf`",
        ),
        ("missing.txt", None, "{path}: No such file or directory"),
    ],
)
def test_a_file_that_is_no_run_is_one_clear_line(
    oomspec: Run, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    done = oomspec("replay", str(path), "--era", "E5")
    assert (done.status, done.out, done.err) == (2, "", f"oomspec: {message.format(path=path)}\n")


def test_a_directory_is_no_file(oomspec: Run, tmp_path: Path) -> None:
    done = oomspec("replay", str(tmp_path), "--era", "E5")
    message = f"Invalid value for 'FILE': File '{tmp_path}' is a directory; `oomspec replay --help` says how"
    assert (done.status, done.out, done.err) == (2, "", f"oomspec: {message}\n")


def test_an_unreadable_file_is_one_clear_line(oomspec: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(self: Path, encoding: str) -> str:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_text", refuse)  # root may read everything, so permissions alone do not do it
    done = oomspec("replay", str(tmp_path / "secret.txt"), "--era", "E5")
    assert (done.status, done.err) == (2, f"oomspec: {tmp_path / 'secret.txt'}: Permission denied\n")


def test_a_mistake_of_ours_never_looks_like_a_verdict(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("oomspec.commands.listing.all_eras", fail)
    done = oomspec("eras")
    assert (done.status, done.err.splitlines()[-1]) == (
        4,
        "oomspec: internal error: please report it with the lines above",
    )


def test_without_a_command_the_help_is_shown(oomspec: Run) -> None:
    done = oomspec()
    assert (done.status, done.out, done.err.splitlines()[0]) == (2, "", "Usage: oomspec [OPTIONS] COMMAND [ARGS]...")


def test_the_words_of_the_exit_statuses_are_complete() -> None:
    assert {word.value: word.exit_status for word in Word} == {
        "violated": 1,
        "vacuous": 1,
        "unknown": 3,
        "bounded": 0,
        "proved-instance": 0,
        "proved": 0,
        "not-applicable": 0,
    }

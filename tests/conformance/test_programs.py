"""A program in any language: the example in C runs in lockstep; whatever a program does wrong is one clear report."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from oom_conformance import programs
from oom_conformance.interface import VERSION, Capabilities, ImplementationError, find_implementation
from oom_conformance.lockstep import Divergence, Kind, Lockstep, replay
from oom_conformance.observables import OBSERVABLES
from oom_conformance.oracle import Oracle, oracle_of
from oom_conformance.programs import Program
from oom_conformance.worlds import describe
from oom_spec.eras import find_era
from oom_spec.language import SpecError
from oom_spec.scenarios import find_scenario

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "examples" / "c" / "oomspec_example.c"
PAGE = ROOT / "docs" / "programs.md"
SCHEMA = Path(programs.__file__).parent / "schemas" / f"program-{VERSION}.schema.json"
FIRST = "killer.__alloc_pages_may_oom.__alloc_pages_slowpath[fails](killer)"
SECOND = "killer.__alloc_pages_may_oom.mutex_trylock(oom_lock)(killer)"


def oracle(scenario: str = "single") -> Oracle:
    return oracle_of(find_era("E4"), find_scenario(scenario))


# -- the example in C ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """How to build the example with a planted bug, or 0 for none; gives the command."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler `cc`")
    folder = tmp_path_factory.mktemp("c")

    @cache
    def built(bug: int) -> str:
        target = folder / f"example{bug}"
        flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", f"-DPLANTED_BUG={bug}"]
        done = subprocess.run(
            [compiler, *flags, "-o", target, SOURCE], capture_output=True, text=True, check=False, timeout=120
        )
        assert (done.returncode, done.stderr) == (0, "")
        return shlex.quote(str(target))

    return built


def walk(pair: Lockstep, seed: int, steps: int) -> set[str]:
    """Random runs of altogether that many steps; gives the steps that were taken."""
    chance = random.Random(seed)
    taken: set[str] = set()
    node = pair.start()
    for _ in range(steps):
        if not node.names:
            node = pair.start()
        action = chance.choice(sorted(node.names))
        taken.add(action)
        node = pair.step(action)
    return taken


@pytest.mark.parametrize("scenario", ["single", "stuck"])
def test_the_example_in_c_does_what_the_specification_does_and_every_action_of_it(
    build: Callable[[int], str], scenario: str
) -> None:
    truth = oracle(scenario)
    known, open_ = {truth.cold.state}, [truth.cold]
    possible: set[str] = set()
    while open_:
        node = open_.pop()
        possible |= node.names
        for action in node.names:
            after = truth.after(node, action)
            if after.state not in known:
                known.add(after.state)
                open_.append(after)
    with Program(build(0)) as program:
        assert program.capabilities().scenarios == ("single", "stuck")
        assert walk(Lockstep(truth, program), seed=5, steps=30_000) == possible


@pytest.mark.parametrize(
    ("bug", "kind", "shows"),
    [
        (1, Kind.OBSERVATION, "mm0.oom_skip: false expected, true seen"),
        (2, Kind.FORBIDDEN, "mmget_not_zero(reaper, P1.t0): USERS_LEFT is false: mm_users is above 0"),
        (3, Kind.FORBIDDEN, "MMPUT_RETURNED is false: __mmput, if it runs it, has returned"),
        (4, Kind.REPORT, "oom_reap_task uses a task that is freed: P1.t0"),
    ],
    ids=["skip before the walk", "no mmget", "exit_mm does not wait", "put before use"],
)
def test_a_bug_planted_in_the_example_is_caught(build: Callable[[int], str], bug: int, kind: Kind, shows: str) -> None:
    found = set()
    with Program(build(bug)) as program:
        pair = Lockstep(oracle(), program)
        for seed in range(30):
            with pytest.raises(Divergence) as caught:
                walk(pair, seed, 20_000)
            found.add(caught.value.kind)
            if caught.value.kind is kind and shows in str(caught.value):
                return
    pytest.fail(f"not seen: {shows}; only {found}")


def test_the_example_refuses_a_world_that_it_does_not_model(build: Callable[[int], str]) -> None:
    with Program(build(0)) as program:
        for scenario, why in [
            ("sharer", "the program reports an error: two threads share an mm"),
            ("memory-kinds", "the program reports an error: this program does not model something that the world has"),
        ]:
            with pytest.raises(ImplementationError) as caught:
                program.reset("E4", describe(find_scenario(scenario)))
            assert str(caught.value) == why
        with pytest.raises(ImplementationError) as caught:
            program.reset("E5", describe(find_scenario("single")))
        assert str(caught.value) == "the program reports an error: this program implements era E4 only"


def test_an_exclamation_mark_names_a_program(build: Callable[[int], str]) -> None:
    made = find_implementation("!" + build(0))()
    assert isinstance(made, Program)
    with made:
        assert made.capabilities().name == "C example"


# -- the documentation -----------------------------------------------------------------------


def transcript() -> list[tuple[str, str]]:
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(("> {", "< {"))]
    assert [line[0] for line in lines] == [">", "<"] * (len(lines) // 2)
    return [(asked[2:], said[2:]) for asked, said in zip(lines[::2], lines[1::2], strict=True)]


def test_the_page_shows_what_the_example_really_says(build: Callable[[int], str]) -> None:
    talk = transcript()
    assert len(talk) == 5
    asked = "".join(f"{line}\n" for line, _ in talk)
    done = subprocess.run(shlex.split(build(0)), input=asked, capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.splitlines() == [said for _, said in talk]


def test_the_page_shows_what_the_suite_really_asks() -> None:
    requests = [json.loads(asked) for asked, _ in transcript()]
    assert requests[0] == {"id": 1, "call": "hello", "protocol": VERSION}
    assert requests[1] == {"id": 2, "call": "reset", "era": "E4", "world": describe(find_scenario("single"))}
    assert [each["action"] for each in requests[2:4]] == [FIRST, SECOND]


def test_the_table_of_the_page_lists_every_observable() -> None:
    rows = re.findall(r"^\| `([A-Z]\w*\.\w+)` \| [\w ]+ \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert rows == [(each.id, each.meaning) for each in OBSERVABLES]


def test_the_schema_fits_every_message_of_the_page_and_no_broken_one() -> None:
    schema = Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    kinds = {kind: schema.evolve(schema={"$ref": f"#/$defs/{kind}"}) for kind in ("request", "reply")}
    for asked, said in transcript():
        for text, kind in ((asked, "request"), (said, "reply")):
            message = json.loads(text)
            assert [each for each, its in kinds.items() if its.is_valid(message)] == [kind]
            assert schema.is_valid(message)
            for required in message.keys() - {"eras", "scenarios", "observes", "reports"}:
                if not (kind == "reply" and required in {"call", "names"}):
                    assert not schema.is_valid({key: message[key] for key in message if key != required})
    assert schema.is_valid({"id": 1, "runnable": [], "observe": [1]})
    assert not schema.is_valid({"id": 1, "runnable": [], "observe": [1.5]})
    assert not schema.is_valid({"id": 0, "runnable": [], "observe": []})
    for reports, fits in (([], True), (["a fault"], True), ([""], False), ([1], False), ("a fault", False)):
        assert schema.is_valid({"id": 1, "runnable": [], "observe": [], "reports": reports}) is fits
    for claim in (True, False, "yes"):
        assert schema.is_valid({"id": 1, "protocol": 1, "name": "new", "reports": claim}) is (claim != "yes")


# -- what a program's own checks find ---------------------------------------------------------

CLAIMS = """
def hello(id): return {"id": id, "protocol": 1, "name": "script", "observes": ["World.oom_lock"], "reports": True}
def reset(id): return {"id": id, "names": ["world.oom_lock"], "runnable": [FIRST], "observe": [False], "reports": []}
def run(id, action): return {"id": id, "runnable": [SECOND], "observe": [False], "reports": REPORTS}
"""


def test_a_report_of_a_program_where_the_specification_knows_of_no_fault_is_one(script: Callable[..., Program]) -> None:
    program = script(CLAIMS + "REPORTS = ['use after free: P1.t0', 'x' * 400]")
    pair = Lockstep(oracle(), program)
    pair.start()
    assert program.reports() == ()
    with pytest.raises(Divergence) as caught:
        pair.step(FIRST)
    assert caught.value.kind is Kind.REPORT
    assert caught.value.lines() == [
        "E4 in single: its own checks report a fault, and the specification knows of none",
        f"  use after free: P1.t0; {'x' * 300}...",
        "  after 1 steps:",
        f"      1 {FIRST}",
    ]
    pair.start()
    assert program.reports() == ()


def test_a_program_whose_checks_find_nothing_conforms(script: Callable[..., Program]) -> None:
    pair = Lockstep(oracle(), script(CLAIMS + "REPORTS = []"))
    pair.start()
    assert pair.step(FIRST).names == {SECOND}


@pytest.mark.parametrize("claim", ["", "hello_ = hello\ndef hello(id): return {**hello_(id), 'reports': False}"])
@pytest.mark.parametrize("reports", ["['use after free: P1.t0']", "7"])
def test_reports_of_a_program_that_does_not_claim_them_are_passed_over(
    script: Callable[..., Program], claim: str, reports: str
) -> None:
    bad = f"def run(id, action): return {{'id': id, 'runnable': [SECOND], 'observe': [False], 'reports': {reports}}}"
    program = script(f"{bad}\n{claim}")
    pair = Lockstep(oracle(), program)
    pair.start()
    assert pair.step(FIRST).names == {SECOND}
    assert program.reports() == ()


@pytest.mark.parametrize(
    ("bad", "call", "message"),
    [
        ("REPORTS = 'BUG'", f"run {FIRST}", "'reports' in the reply is a text, not a list of texts"),
        ("REPORTS = None", f"run {FIRST}", "'reports' in the reply is null, not a list of texts"),
        ("REPORTS = [1]", f"run {FIRST}", "'reports' in the reply is a list with a whole number, not a list of texts"),
        ("REPORTS = ['']", f"run {FIRST}", "'reports' in the reply has an empty text"),
        (
            "REPORTS = ['a\\nb']",
            f"run {FIRST}",
            "'reports' in the reply has a text that cannot be printed: 'a\\nb'",
        ),
        (
            "def run(id, action): return {'id': id, 'runnable': [SECOND], 'observe': [False]}",
            f"run {FIRST}",
            "'reports' in the reply is missing, not a list of texts",
        ),
        (
            "reset_ = reset\ndef reset(id): return {**reset_(id), 'reports': {}}",
            "reset",
            "'reports' in the reply is an object, not a list of texts",
        ),
    ],
)
def test_what_is_no_list_of_reports_breaks_the_protocol(
    script: Callable[..., Program], bad: str, call: str, message: str
) -> None:
    with pytest.raises(Divergence) as caught:
        replay(oracle(), script(CLAIMS + bad), [FIRST])
    assert (caught.value.kind, caught.value.message) == (Kind.BROKEN, f"{call}: {message}")


# -- programs that misbehave -----------------------------------------------------------------

GOOD = (
    f"FIRST, SECOND = {FIRST!r}, {SECOND!r}"
    """
import json, os, signal, sys, time
def hello(id): return {"id": id, "protocol": 1, "name": "script", "observes": ["World.oom_lock"]}
def reset(id): return {"id": id, "names": ["world.oom_lock"], "runnable": [FIRST], "observe": [False]}
def run(id, action): return {"id": id, "runnable": [SECOND], "observe": [False]}
def say(reply): print(json.dumps(reply), flush=True)
def serve():
    for line in sys.stdin:
        request = json.loads(line)
        id, call = request["id"], request["call"]
        say(hello(id) if call == "hello" else reset(id) if call == "reset" else run(id, request["action"]))
"""
)


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """How to make a program that does well but for some lines of Python, which end before `serve` is called."""
    made: list[Program] = []

    def make(bad: str, timeout: float = 10.0) -> Program:
        path = tmp_path / f"script{len(made)}.py"
        path.write_text(f"{GOOD}\n{bad}\nserve()\n", "utf-8")
        made.append(Program(f"{shlex.quote(sys.executable)} -S {shlex.quote(str(path))}", timeout=timeout))
        return made[-1]

    yield make
    for program in made:
        program.close()


LIMIT = 0.4
ON_RUN = {
    "hang": ("def run(id, action): time.sleep(60)", "no reply within 0.4 s, so the program was killed"),
    "endless noise": (
        "def run(id, action):\n    while True: sys.stderr.write('no\\n')",
        "no reply within 0.4 s, so the program was killed; last on its standard error: no | no | no",
    ),
    "status": (
        "def run(id, action):\n    sys.stderr.write('oops\\n\\x1b[31mI am out\\n')\n    sys.exit(3)",
        "the program ended with status 3; last on its standard error: oops | \\x1b[31mI am out",
    ),
    "crash": ("def run(id, action): os.kill(os.getpid(), signal.SIGSEGV)", "the program was ended by SIGSEGV"),
    "half a line": (
        "def run(id, action):\n    print('{\"id\":', end='', flush=True)\n    os._exit(0)",
        "the program ended with status 0 in the middle of a reply",
    ),
    "closed output": (
        "def run(id, action):\n    os.close(1)\n    time.sleep(60)",
        "the program closed its standard output",
    ),
    "garbage": (
        "def run(id, action):\n    print('BUG: unable to handle', flush=True)\n    time.sleep(60)",
        "the reply is not JSON: 'BUG: unable to handle' (Expecting value)",
    ),
    "not UTF-8": (
        "def run(id, action):\n    os.write(1, b'\\xff\\n')\n    time.sleep(60)",
        "the reply is not JSON: '\\\\xff' ('utf-8' codec can't decode byte 0xff in position 0: invalid start byte)",
    ),
    "no object": ("def run(id, action): return [1]", "the reply is not a JSON object: '[1]'"),
    "no id": ("def run(id, action): return {}", "the reply has no number 'id': '{}'"),
    "another id": (
        "def run(id, action): return {'id': 1}",
        "the reply is to request 1, not to request 3: '{\"id\": 1}'",
    ),
    "two lines": (
        "def run(id, action):\n    os.write(1, b'{}\\n{}\\n')\n    time.sleep(60)",
        "more than one line came for one request; the second begins '{}\\n'",
    ),
    "nothing runnable": (
        "def run(id, action): return {'id': id, 'observe': [False]}",
        "'runnable' in the reply is missing, not a list of texts",
    ),
    "numbers runnable": (
        "def run(id, action): return {'id': id, 'observe': [False], 'runnable': [FIRST, 7]}",
        "'runnable' in the reply is a list with a whole number, not a list of texts",
    ),
    "odd name": (
        "def run(id, action): return {'id': id, 'observe': [False], 'runnable': ['a\\nb']}",
        "'runnable' in the reply has a text that cannot be printed: 'a\\nb'",
    ),
    "fraction": (
        "def run(id, action): return {'id': id, 'observe': [0.5], 'runnable': [SECOND]}",
        (
            "'observe' in the reply is a list with a number with a fraction, "
            "not a list of truth values, whole numbers and texts"
        ),
    ),
    "no list": (
        "def run(id, action): return {'id': id, 'observe': None, 'runnable': [SECOND]}",
        "'observe' in the reply is null, not a list of truth values, whole numbers and texts",
    ),
    "too many values": (
        "def run(id, action): return {'id': id, 'observe': [False, 1], 'runnable': [SECOND]}",
        "'observe' in the reply has 2 values, not the 1 that reset named",
    ),
    "own error": (
        "def run(id, action): return {'id': id, 'error': 'cannot\\ndo it'}",
        "the program reports an error: cannot\\ndo it",
    ),
    "huge line": (
        "def run(id, action):\n    while True: os.write(1, b'x' * 65536)",
        f"the reply is a line of more than 16 MiB: '{'x' * 80}'...",
    ),
}


@pytest.mark.parametrize("name", ON_RUN)
def test_what_a_program_does_wrong_in_a_run_is_reported_with_the_schedule(
    script: Callable[..., Program], name: str
) -> None:
    bad, message = ON_RUN[name]
    slow = name in {"hang", "endless noise"}
    pair = Lockstep(oracle(), script(bad, timeout=LIMIT if slow else 10.0))
    pair.start()
    with pytest.raises(Divergence) as caught:
        pair.step(FIRST)
    assert str(caught.value).splitlines() == [
        "E4 in single: it broke the protocol of the suite, crashed or hung",
        f"  run {FIRST}: {message}",
        "  after 1 steps:",
        f"      1 {FIRST}",
    ]
    assert caught.value.kind is Kind.BROKEN


def test_a_lie_about_what_can_run_is_reported_with_the_guard_that_forbids_it(script: Callable[..., Program]) -> None:
    lie = "reaper.oom_reaper.oom_reap_task(reaper, P1.t0)"
    bad = f"def run(id, action): return {{'id': id, 'observe': [False], 'runnable': [SECOND, {lie!r}]}}"
    pair = Lockstep(oracle(), script(bad))
    pair.start()
    with pytest.raises(Divergence) as caught:
        pair.step(FIRST)
    assert caught.value.kind is Kind.FORBIDDEN
    assert caught.value.lines()[1:] == [
        f"  {lie}: ON_LIST is false: it is on oom_reaper_list although the test did not see it",
        "  after 1 steps:",
        f"      1 {FIRST}",
    ]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            "def hello(id): return {'id': id, 'protocol': 2, 'name': 'new'}",
            "the program speaks version 2 of the protocol, the suite speaks version 1",
        ),
        ("def hello(id): return {'id': id, 'name': 'new'}", "the reply to hello has no number 'protocol'"),
        ("def hello(id): return {'id': id, 'protocol': 1}", "the reply to hello has no printable text 'name'"),
        (
            "def hello(id): return {'id': id, 'protocol': 1, 'name': 'new', 'eras': 'E4'}",
            "'eras' in the reply is a text, not a list of texts",
        ),
        (
            "def hello(id): return {'id': id, 'protocol': 1, 'name': 'new', 'reports': ['a fault']}",
            "'reports' in the reply to hello is a list, not a truth value",
        ),
        ("sys.exit('no such device')", "the program ended with status 1; last on its standard error: no such device"),
    ],
)
def test_a_program_that_cannot_say_hello_is_refused(script: Callable[..., Program], bad: str, message: str) -> None:
    with pytest.raises(ImplementationError) as caught:
        script(bad).capabilities()
    assert str(caught.value) == message


def test_what_hello_leaves_out_is_everything(script: Callable[..., Program]) -> None:
    program = script("def hello(id): return {'id': id, 'protocol': 1, 'name': 'new', 'eras': None, 'other': 1}")
    assert program.capabilities() == Capabilities("new", 1, None, None, None)


def test_after_a_failure_the_next_reset_starts_the_program_anew(script: Callable[..., Program], tmp_path: Path) -> None:
    mark = tmp_path / "failed"
    bad = f"""
def run(id, action):
    if not os.path.exists({str(mark)!r}):
        open({str(mark)!r}, "w").close()
        sys.exit(1)
    return {{"id": id, "runnable": [SECOND], "observe": [False]}}
"""
    program = script(bad)
    pair = Lockstep(oracle(), program)
    pair.start()
    with pytest.raises(Divergence):
        pair.step(FIRST)
    with pytest.raises(ImplementationError, match=r"^the program does not run: reset starts it$"):
        program.observe()
    pair.start()
    assert pair.step(FIRST).names == {SECOND}


def gone(pid: int) -> bool:
    """The process has ended, or does so within a second."""
    for _ in range(100):
        with suppress(FileNotFoundError):
            if Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.01)
                continue
        return True
    return False


def test_a_hanging_program_is_killed_with_what_it_has_started(script: Callable[..., Program], tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    bad = f"""
def run(id, action):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = os.fork()
    if child:
        with open({str(pids)!r}, "w") as file: file.write(f"{{os.getpid()}} {{child}}")
    time.sleep(60)
"""
    pair = Lockstep(oracle(), script(bad, timeout=LIMIT))
    pair.start()
    with pytest.raises(Divergence):
        pair.step(FIRST)
    found = [int(each) for each in pids.read_text("ascii").split()]
    assert len(found) == 2
    assert all(gone(pid) for pid in found)


def test_a_program_that_is_forgotten_is_ended_and_one_that_is_closed_ends_by_itself(
    script: Callable[..., Program], tmp_path: Path
) -> None:
    note = tmp_path / "note"
    program = script(f"import atexit\natexit.register(lambda: open({str(note)!r}, 'w').close())")
    program.capabilities()
    program.close()
    program.close()
    assert note.exists()
    command = f"{shlex.quote(sys.executable)} -S {shlex.quote(str(tmp_path / 'script0.py'))}"
    forgotten = Program(command)
    forgotten.capabilities()
    child = forgotten._child
    assert child is not None
    pid = child._process.pid
    del child, forgotten
    assert gone(pid)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIG_DFL)


def test_an_unread_request_does_not_block_the_suite(script: Callable[..., Program]) -> None:
    program = script("def reset(id): time.sleep(60)", timeout=LIMIT)
    program.capabilities()
    with pytest.raises(ImplementationError) as caught:
        program.reset("E4", {"padding": "x" * 2**20})
    assert str(caught.value) == "no reply within 0.4 s, so the program was killed"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "the command of an implementation is empty: give a program and its arguments"),
        ("a 'b", 'the command "a \'b" cannot be split into words: No closing quotation'),
        ("/nowhere/at/all", "the program '/nowhere/at/all' cannot be started: No such file or directory"),
    ],
)
def test_a_command_that_cannot_be_run_is_the_users_mistake(command: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        Program(command).capabilities()
    assert str(caught.value) == message


def test_a_time_limit_must_be_above_0() -> None:
    with pytest.raises(SpecError) as caught:
        Program("true", timeout=0.0)
    assert str(caught.value) == "the time limit for a reply is 0 s: give a number of seconds above 0"

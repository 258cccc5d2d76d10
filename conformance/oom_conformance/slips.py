"""Slips in the reference implementation: one small change of one function, made where it runs and taken back after.

Each slip is a mistake that one might make in a patch: a call left out (a lock not taken, a reference not put), a
condition turned round, a flag set early or not at all, a count off by one, a list begun at its other end. The
function's code is exchanged in place, so that every release that has the function has the slip.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

import attrs

from oom_conformance.reference import (
    early,
    exit,  # noqa: A004 - the kernel's file kernel/exit.c
    exit_mmap,
    faults,
    fork,
    kernel,
    mrelease,
    objects,
    oom_kill,
    oom_reaper,
    others,
)

MODULES: tuple[ModuleType, ...] = (
    exit,
    exit_mmap,
    oom_kill,
    oom_reaper,
    early,
    mrelease,
    faults,
    fork,
    others,
    objects,
    kernel,
)
CHECKS = ("report", "touch", "walk")
"""Calls of the machine's own checks: they say nothing while nothing is wrong, so leaving them out is no slip."""


@attrs.frozen(eq=False)
class Slip:
    """One change of one function."""

    function: str
    """``oom_reaper.v4_9``"""
    line: int
    """Counted from the function's first line."""
    what: str
    """``left out: mm.mmget()``"""
    code: CodeType = attrs.field(repr=False)
    target: FunctionType = attrs.field(repr=False)

    @property
    def id(self) -> str:
        """``oom_reaper.v4_9:9 left out: mm.mmget()``; stays the same while the function does."""
        return f"{self.function}:{self.line} {self.what}"

    @contextmanager
    def made(self) -> Iterator[None]:
        """The function has the slip inside the ``with`` block."""
        function: Any = self.target
        original = function.__code__
        function.__code__ = self.code
        try:
            yield
        finally:
            function.__code__ = original


def functions() -> list[tuple[str, FunctionType]]:
    """Every function and method of the kernel's code, with its name."""
    found: list[tuple[str, FunctionType]] = []
    for module in MODULES:
        short = module.__name__.rsplit(".", 1)[-1]
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) != module.__name__:
                continue
            if isinstance(value, FunctionType):
                found.append((f"{short}.{name}", value))
            elif inspect.isclass(value):
                found += [
                    (f"{short}.{name}.{method}", function)
                    for method, each in vars(value).items()
                    for function in [each.fget if isinstance(each, property) else each]
                    if isinstance(function, FunctionType) and not method.startswith("__") and method not in CHECKS
                ]
    return found


@cache
def slips() -> tuple[Slip, ...]:
    """Every slip of every function, in the order of the source; made once in a process."""
    return tuple(slip for name, function in functions() for slip in slips_of(name, function))


def slips_of(name: str, function: FunctionType) -> list[Slip]:
    """The slips of one function."""
    tree = _parsed(function)
    if tree is None:
        return []
    source = ast.unparse(tree)
    line_of = [getattr(node, "lineno", 1) for node in ast.walk(tree)]
    whole = ast.parse(source)
    ways = [len(_changes(whole, node)) for node in ast.walk(whole)]
    found: list[Slip] = []
    ids: set[str] = set()
    for number, several in enumerate(ways):
        for variant in range(several):
            changed = ast.parse(source)
            node = _nth(changed, number)
            what = _changes(changed, node)[variant]()
            if what is None:
                break
            code = _compiled(changed, function)
            if code is not None:
                slip = Slip(name, line_of[number], what, code, function)
                if slip.id in ids:
                    slip = attrs.evolve(slip, what=f"{what} (again)")
                ids.add(slip.id)
                found.append(slip)
    return found


@contextmanager
def noted(into: set[str]) -> Iterator[None]:
    """Inside the ``with`` block, the name of each function that is called is added to ``into``."""
    originals: list[tuple[FunctionType, CodeType]] = []
    try:
        for name, function in functions():
            tree = _parsed(function)
            if tree is None:
                continue
            definition = tree.body[0]
            assert isinstance(definition, ast.FunctionDef)
            definition.body[0:0] = ast.parse(f"_reached.add({name!r})").body
            code = _compiled(tree, function)
            if code is not None:
                originals.append((function, function.__code__))
                function.__globals__["_reached"] = into
                function.__code__ = code
        yield
    finally:
        for function, code in originals:
            function.__code__ = code


def _parsed(function: FunctionType) -> ast.Module | None:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError):  # made by attrs: there is no source
        return None
    return tree if isinstance(tree.body[0], ast.FunctionDef) else None


def _nth(tree: ast.AST, number: int) -> ast.AST:
    return next(node for position, node in enumerate(ast.walk(tree)) if position == number)


def _compiled(tree: ast.Module, function: FunctionType) -> CodeType | None:
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    ast.fix_missing_locations(tree)
    flags = function.__code__.co_flags & 0x1000000  # from __future__ import annotations
    module = compile(tree, function.__code__.co_filename, "exec", flags, dont_inherit=True)
    code = next(each for each in module.co_consts if isinstance(each, CodeType))
    return code if code.co_freevars == function.__code__.co_freevars else None


def _changes(tree: ast.Module, node: ast.AST) -> list[_Change]:
    """The ways in which ``node`` can be changed; a way may still turn out to be none."""
    if _is_check(node) or _inside_check(tree, node):
        return []
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return [_Change(tree, node, "left out"), _Change(tree, node, "after the next")]
    if isinstance(node, ast.Assign | ast.AugAssign):
        kept = any(isinstance(target, ast.Name | ast.Tuple) for target in _targets(node))
        return [] if kept else [_Change(tree, node, "left out"), _Change(tree, node, "after the next")]
    if isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(node.test, ast.Constant):
        return [_Change(tree, node, "turned round")]
    if isinstance(node, ast.BoolOp):
        return [_Change(tree, node, "only the first"), _Change(tree, node, "only the last")]
    if isinstance(node, ast.Compare):
        return [_Change(tree, node, "compared otherwise")]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return [_Change(tree, node, "without not")]
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int):
        return [_Change(tree, node, "another value")]
    return []


def _targets(node: ast.Assign | ast.AugAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


PAUSING = ("step", "wait", "test", "choose", "pause")
"""Methods at which a thread may be preempted; a function that is given a frame or a context may call one."""


def _pauses(node: ast.AST) -> bool:
    """Whether a thread may be preempted within a statement."""
    for each in ast.walk(node):
        if isinstance(each, ast.Call):
            method = isinstance(each.func, ast.Attribute) and each.func.attr in PAUSING
            given = any(isinstance(argument, ast.Name) and argument.id in ("at", "context") for argument in each.args)
            if method or given:
                return True
    return False


def _names_only(node: ast.stmt) -> bool:
    """An assignment that makes words of other words, such as ``at = Frame(...)``: it can be made at any time."""
    return isinstance(node, ast.Assign) and all(_is_word(each) for each in ast.walk(node))


def _is_word(node: ast.AST) -> bool:
    """No part that looks at anything but names."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) or (isinstance(node.func, ast.Name) and node.func.id == "Frame")
    return (
        node.attr in ("name", "reaper_name") if isinstance(node, ast.Attribute) else not isinstance(node, ast.Subscript)
    )


def _is_check(node: ast.AST) -> bool:
    call = node.value if isinstance(node, ast.Expr) else node
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in CHECKS


def _inside_check(tree: ast.Module, node: ast.AST) -> bool:
    """Part of a call of a check, or of a condition under which nothing else is done."""
    for outer in ast.walk(tree):
        only_checks = isinstance(outer, ast.If) and not outer.orelse and all(_is_check(each) for each in outer.body)
        if only_checks and (node is outer or node in ast.walk(outer)):
            return True
        if _is_check(outer) and node in ast.walk(outer):
            return True
    return False


class _Change:
    """One way to change one node."""

    def __init__(self, tree: ast.Module, node: ast.AST, how: str) -> None:
        self.tree = tree
        self.node = node
        self.how = how

    def __call__(self) -> str | None:
        node = self.node
        text = ast.unparse(node).split("\n")[0]
        if isinstance(node, ast.If | ast.While | ast.IfExp):
            text = ast.unparse(node.test)
            node.test = ast.UnaryOp(ast.Not(), node.test)
        elif isinstance(node, ast.stmt):
            if not self._move():
                return None
        elif isinstance(node, ast.Compare):
            node.ops[0] = _OTHER[type(node.ops[0])]()
        elif isinstance(node, ast.Constant):
            node.value = (not node.value) if isinstance(node.value, bool) else int(str(node.value)) + 1
        else:
            self._replace()
        return f"{self.how}: {text}"

    def _move(self) -> bool:
        for outer in ast.walk(self.tree):
            for field in ("body", "orelse"):
                block = getattr(outer, field, None)
                if not isinstance(block, list) or self.node not in block:
                    continue
                place = block.index(self.node)
                if self.how == "left out":
                    block[place] = ast.Pass()
                    return True
                if place + 1 == len(block) or isinstance(block[place + 1], ast.Return | ast.If | ast.While):
                    return False
                if not (_pauses(self.node) or _pauses(block[place + 1])) or _names_only(block[place + 1]):
                    return False  # both are in one atomic section, or one does nothing: nobody can tell their order
                block[place], block[place + 1] = block[place + 1], block[place]
                return True
        return False

    def _replace(self) -> None:
        node = self.node
        if isinstance(node, ast.UnaryOp):
            new: ast.expr = node.operand
        else:
            assert isinstance(node, ast.BoolOp)
            new = node.values[0 if self.how == "only the first" else -1]
        for outer in ast.walk(self.tree):
            for field, value in ast.iter_fields(outer):
                if value is node:
                    setattr(outer, field, new)
                elif isinstance(value, list) and node in value:
                    value[value.index(node)] = new


_OTHER: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}

__all__ = ["CHECKS", "Slip", "functions", "noted", "slips", "slips_of"]

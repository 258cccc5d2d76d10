"""The command, run inside the test's process and as a process of its own."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from oomspec.main import main

from .running import Done

Run = Callable[..., Done]


@pytest.fixture
def oomspec(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `oomspec` with these arguments in this process."""

    def run(*arguments: str, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "argv", ["oomspec", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        with pytest.raises(SystemExit) as left:
            main()
        assert isinstance(left.value.code, int)
        out, err = capsys.readouterr()
        return Done(left.value.code, out, err)

    return run

"""A reader who follows one request stays in few files."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from chalicelib import instants
from tests.api.conftest import ApiClient
from tests.architecture.trace_files import Trace
from tests.architecture.use_cases import UNCOUNTED, api, messaging, use_cases
from tests.builders.messages import MessagingFixture

__all__ = ["api", "messaging"]

ROOT = Path(__file__).resolve().parents[2]

MAX_FIGURES = {"create": (41, 93), "complete": (41, 101), "capture": (24, 56), "ledger": (13, 30)}
"""Files and changes of file by use case, at most. Lower one when code gets better; raise one only for correctness."""


def test_each_use_case_stays_in_few_files(
    api: ApiClient, messaging: MessagingFixture, record_property: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run each use case at one instant, late enough that nothing cached before it is used."""
    counted, now = {}, instants.clock()
    monkeypatch.setattr(instants, "clock", lambda: now)
    for name, act in use_cases(api, messaging):
        now += 2 * instants.SECOND
        trace = Trace(ROOT / "chalicelib", UNCOUNTED)
        trace.run(act)
        record_property(name, {"files": len(trace.files), "changes": [":".join(call) for call in trace.changes]})
        counted[name] = (len(trace.files), len(trace.changes))
    above = {
        name: got for name, got in counted.items() if got[0] > MAX_FIGURES[name][0] or got[1] > MAX_FIGURES[name][1]
    }
    assert above == {}
    assert set(counted) == set(MAX_FIGURES)


def _module(path: Path) -> Any:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def test_the_trace_counts_calls_that_go_to_another_file(tmp_path: Path) -> None:
    (tmp_path / "traced_inner.py").write_text("def leaf():\n    return [n for n in range(3)]\n")
    (tmp_path / "traced_outer.py").write_text(
        "from traced_inner import leaf\n\ndef own():\n    pass\n\ndef outer():\n    leaf()\n    leaf()\n    own()\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        outer = _module(tmp_path / "traced_outer.py")
    finally:
        sys.path.remove(str(tmp_path))
    trace = Trace(tmp_path)
    trace.run(outer.outer)
    assert trace.calls == [
        ("traced_outer.py", "outer"),
        ("traced_inner.py", "leaf"),
        ("traced_inner.py", "leaf"),
        ("traced_outer.py", "own"),
    ]
    assert trace.files == ["traced_inner.py", "traced_outer.py"]
    assert len(trace.changes) == 3
    left_out = Trace(tmp_path, frozenset({"traced_inner.py"}))
    left_out.run(outer.outer)
    assert (len(left_out.files), len(left_out.changes)) == (1, 1)

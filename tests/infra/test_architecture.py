"""Rules of the rooms that the import linter cannot express."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from infra.paths import ROOT

LIBRARY = ROOT / "chalicelib"
ROOMS = frozenset(path.parent.name for path in LIBRARY.glob("*/__init__.py"))


def _imports(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports at run time, without those for type checking only."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            inside = ROOT.joinpath(*node.module.split("."))
            yield from (
                f"{node.module}.{alias.name}" for alias in node.names if (inside / f"{alias.name}.py").is_file()
            )


def _files() -> list[Path]:
    return sorted(LIBRARY.rglob("*.py"))


def test_only_stores_and_aws_import_boto() -> None:
    importers = {
        str(path.relative_to(LIBRARY))
        for path in _files()
        if any(name.split(".")[0] in {"boto3", "botocore"} for name in _imports(path))
    }
    assert {path for path in importers if path != "aws.py" and not path.endswith("/store.py")} == set()
    assert "aws.py" in importers


def test_only_its_adapter_imports_stripe() -> None:
    importers = {
        str(path.relative_to(LIBRARY))
        for path in _files()
        if any(name.split(".")[0] == "stripe" for name in _imports(path))
    }
    assert importers == {f"payments/stripe/{part}.py" for part in ("calls", "errors", "webhooks")}


def test_room_is_imported_through_its_public_face_only() -> None:
    around = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in [*_files(), ROOT / "app.py"]
        for name in _imports(path)
        if name.startswith("chalicelib.")
        and len(parts := name.split(".")) > 2
        and parts[1] in ROOMS - {"streams"}  # the streams room holds handlers, one a source; app.py names each
        and parts[1] not in path.relative_to(ROOT).parts
    ]
    assert around == []


def test_no_file_exceeds_300_lines() -> None:
    long = {
        str(path.relative_to(ROOT))
        for folder in ("chalicelib", "infra", "tests")
        for path in (ROOT / folder).rglob("*.py")
        if len(path.read_text().splitlines()) > 300
    }
    assert long == set()

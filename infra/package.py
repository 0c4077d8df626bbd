"""Packaging: what ``chalice package`` makes of the application, with our template merged, trimmed and reproducible.

The same code and template make the same zip, byte for byte; unchanged input is not packaged again.
"""

from __future__ import annotations

import compileall
import json
import os
import platform
import py_compile
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from chalice.package import YAMLTemplateSerializer

from infra.alarms import add_alarms
from infra.dashboard import add_dashboard
from infra.local.processes import locked

Architecture = Literal["x86_64", "arm64"]

ROOT = Path(__file__).resolve().parents[1]
STAGE = "live"
AWS_SERVICES = frozenset({"dynamodb", "events", "s3", "secretsmanager", "sqs"})
"""Services the deployed code calls: the only service descriptions of botocore that are packaged."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_NEVER_IMPORTED = ("boto3/examples/", "bin/")


@dataclass(frozen=True, slots=True)
class Package:
    """A packaged application: the template to deploy and the code that it names by parameters."""

    template: Path
    code: Path
    unpacked: Path
    """The code's files, as Lambda would lay them out."""
    architecture: Architecture

    @property
    def key(self) -> str:
        """Where the code goes in its bucket: named after its content."""
        return f"livedrop/{sha256(self.code.read_bytes()).hexdigest()[:32]}.zip"


def native() -> Architecture:
    """The architecture of this machine, for the local stack."""
    return "arm64" if platform.machine() in {"aarch64", "arm64"} else "x86_64"


def package(architecture: Architecture, folder: Path | None = None) -> tuple[Package, bool]:
    """Package the application for an architecture; also says whether that was needed.

    One process packages, others wait for it. ``RuntimeError`` when the result cannot be imported by itself (checked
    where this machine can run it).
    """
    folder = folder or ROOT / "build" / "package" / architecture
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock"):
        return _package(folder, architecture)


def _package(folder: Path, architecture: Architecture) -> tuple[Package, bool]:
    made = Package(folder / "template.json", folder / "code.zip", folder / "code", architecture)
    stamp = folder / "stamp"
    wanted = _fingerprint()
    if stamp.exists() and stamp.read_text() == wanted:
        return made, False
    stamp.unlink(missing_ok=True)
    built = _chalice_package(folder, architecture)
    _unpack(built / "deployment.zip", made.unpacked)
    _zip(made.unpacked, made.code)
    made.template.write_text(json.dumps(_template(built / "sam.yaml"), indent=1, sort_keys=True) + "\n")
    if sys.platform == "linux" and architecture == native():
        check_imports(made)
    stamp.write_text(wanted)
    return made, True


def check_imports(made: Package) -> None:
    """Import every module of ours from the zip alone, in an interpreter that sees nothing else."""
    with tempfile.TemporaryDirectory() as empty:
        with zipfile.ZipFile(made.code) as archive:
            archive.extractall(empty)
        ours = sorted(
            ".".join(path.relative_to(empty).with_suffix("").parts).removesuffix(".__init__")
            for path in Path(empty, "chalicelib").rglob("*.py")
        )
        script = (
            "import importlib, sys; sys.path.insert(0, sys.argv[1]); "
            "[importlib.import_module(name) for name in sys.argv[2:]]"
        )
        clean = {"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": "eu-west-1", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-I", "-S", "-c", script, empty, "app", *ours]
        outcome = subprocess.run(command, env=clean, cwd=empty, capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise RuntimeError(f"the package does not import by itself:\n{outcome.stderr}")


def _inputs() -> Iterator[Path]:
    yield from sorted((ROOT / "chalicelib").rglob("*.py"))
    yield from (ROOT / name for name in ("app.py", "requirements.txt", ".chalice/config.json"))
    yield from (ROOT / "infra" / name for name in ("template.yaml", "package.py", "alarms.py"))


def _fingerprint() -> str:
    digest = sha256(sys.version.encode())
    for path in _inputs():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _chalice_package(folder: Path, architecture: Architecture) -> Path:
    """Run ``chalice package`` on a copy, so that neither the repository nor another architecture's cache is touched.

    Chalice keeps the dependencies it packaged there and takes them again while requirements.txt is unchanged.
    """
    source, built = folder / "source", folder / "chalice"
    for path in (source / "chalicelib", built):
        shutil.rmtree(path, ignore_errors=True)
    (source / ".chalice").mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "chalicelib", source / "chalicelib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("app.py", "requirements.txt"):
        shutil.copy(ROOT / name, source / name)
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    (source / ".chalice" / "config.json").write_text(json.dumps(config | {"lambda_architecture": architecture}))
    command = [sys.executable, "-c", "from chalice.cli import main; main()", "package", "--stage", STAGE]
    command += ["--merge-template", str(ROOT / "infra" / "template.yaml"), str(built)]
    environment = os.environ | {"AWS_DEFAULT_REGION": os.environ.get("AWS_DEFAULT_REGION", "eu-west-1")}
    outcome = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    if outcome.returncode or "Could not install dependencies" in outcome.stderr:
        raise RuntimeError(f"chalice package failed:\n{outcome.stdout}{outcome.stderr}")
    return built


def _template(merged: Path) -> dict[str, Any]:
    """The merged template, in JSON's terms: with alarms, and without what each function repeats of the globals."""
    loaded: dict[str, Any] = YAMLTemplateSerializer().load_template(merged.read_text(), str(merged))
    common = loaded["Globals"]["Function"]
    for resource in loaded["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            for name in common:
                resource["Properties"].pop(name, None)
    add_alarms(loaded)
    add_dashboard(loaded)
    return loaded


def _unpack(archive: Path, folder: Path) -> None:
    """Lay out what is deployed, with bytecode: Lambda could not keep what it compiles at each cold start."""
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder, [name for name in packed.namelist() if _deployed(name)])
    compileall.compile_dir(
        folder,
        quiet=1,
        stripdir=str(folder),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def _deployed(name: str) -> bool:
    parts = name.split("/")
    if name.endswith((".pyc", ".pyi")) or name.startswith(_NEVER_IMPORTED) or "tests" in parts:
        return False
    if parts[:2] in (["botocore", "data"], ["boto3", "data"]) and len(parts) > 3:
        return parts[2] in AWS_SERVICES
    return True


def _zip(folder: Path, target: Path) -> None:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in paths:
            entry = zipfile.ZipInfo(str(path.relative_to(folder)), _EPOCH)
            entry.external_attr = (0o755 if path.suffix == ".so" else 0o644) << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)

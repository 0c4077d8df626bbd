"""Package the application with ``chalice package``, merge the template, trim the code, and zip it reproducibly.

A package is for one Python and one architecture: AWS ends runtimes on its own dates, and the local stack runs functions
in its own Python. The same code, template and compiler make the same zip, byte for byte. Unchanged input is not
packaged again.
"""

from __future__ import annotations

import json
import os
import platform
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

from infra.aws.alarms import add_alarms
from infra.aws.dashboard import add_dashboard
from infra.local.processes import locked
from infra.paths import BUILD, ROOT, TEMPLATE

Architecture = Literal["x86_64", "arm64"]

STAGE = "live"
AWS_SERVICES = frozenset({"dynamodb", "events", "s3", "secretsmanager", "sqs"})
"""Services that the deployed code calls. The package contains botocore's descriptions of these only."""

_MACHINES: dict[Architecture, tuple[str, int]] = {"arm64": ("aarch64", 183), "x86_64": ("x86_64", 62)}
"""An architecture's name in the file names of compiled modules, and its number in their headers (ELF ``e_machine``)."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_NEVER_IMPORTED = ("boto3/examples/", "bin/")


@dataclass(frozen=True, slots=True)
class Target:
    """The Python and the architecture that a package is built for."""

    python: str
    """The version, such as ``3.13``."""
    architecture: Architecture

    @property
    def runtime(self) -> str:
        """Lambda's name for this Python."""
        return f"python{self.python}"

    def interpreter(self) -> str | None:
        """Find a Python of this version on this machine; None when there is none."""
        if self.python == _running_version():
            return sys.executable
        found = shutil.which(self.runtime)
        return found if found and _version(found).startswith(f"{self.python}.") else None


AWS = Target("3.13", "arm64")
"""The target of ``livedrop deploy``. AWS must still accept new functions with this runtime."""


@dataclass(frozen=True, slots=True)
class Package:
    """A packaged application: the template to deploy, and the code that its parameters name."""

    template: Path
    code: Path
    unpacked: Path
    """The folder of the code's files, as Lambda unpacks them."""
    target: Target

    @property
    def key(self) -> str:
        """The code's key in its bucket, made from its content."""
        return f"livedrop/{sha256(self.code.read_bytes()).hexdigest()[:32]}.zip"


def native_architecture() -> Architecture:
    """Return the architecture of this machine."""
    return "arm64" if platform.machine() in {"aarch64", "arm64"} else "x86_64"


def local_target() -> Target:
    """Return the target of the local stack: this machine and this Python."""
    return Target(_running_version(), native_architecture())


def package(target: Target, folder: Path | None = None) -> tuple[Package, bool]:
    """Package the application for a target. Also returns whether the input had changed since the last package.

    One process packages while others wait.

    Raises: RuntimeError, when a compiled module is for another target, or when a module cannot be imported from the
        package alone. The import is checked only where this machine can run the target.
    """
    folder = folder or BUILD / "package" / f"{target.runtime}-{target.architecture}"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock"):
        return _package(folder, target)


def _package(folder: Path, target: Target) -> tuple[Package, bool]:
    result = Package(folder / "template.json", folder / "code.zip", folder / "code", target)
    stamp = folder / "stamp"
    interpreter = target.interpreter()
    wanted = _fingerprint(_version(interpreter) if interpreter else "")
    if stamp.exists() and stamp.read_text() == wanted:
        return result, False
    stamp.unlink(missing_ok=True)
    built = _chalice_package(folder, target)
    _unpack(built / "deployment.zip", result.unpacked)
    if unloadable := unloadable_files(result.unpacked, target):
        raise RuntimeError(f"the package has modules that {target} cannot load: {', '.join(unloadable)}")
    if interpreter:
        _compile(result.unpacked, interpreter)
    _zip(result.unpacked, result.code)
    result.template.write_text(json.dumps(_template(built / "sam.yaml", target), indent=1, sort_keys=True) + "\n")
    if interpreter and sys.platform == "linux" and target.architecture == native_architecture():
        check_imports(result, interpreter)
    stamp.write_text(wanted)
    return result, True


def compiled_files(folder: Path) -> list[Path]:
    """List the ELF files of a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF")


def unloadable_files(folder: Path, target: Target) -> list[str]:
    """List the compiled files that the target cannot load: their name or their header is for another one."""
    machine, number = _MACHINES[target.architecture]
    suffixes = (f".cpython-{target.python.replace('.', '')}-{machine}-linux-gnu.so", ".abi3.so")
    return [
        str(path.relative_to(folder))
        for path in compiled_files(folder)
        if not path.name.endswith(suffixes) or int.from_bytes(path.read_bytes()[18:20], "little") != number
    ]


def check_imports(built: Package, interpreter: str) -> None:
    """Import every module of the application from the zip, in an interpreter that sees nothing else.

    Raises: RuntimeError, with the interpreter's output.
    """
    with tempfile.TemporaryDirectory() as empty:
        with zipfile.ZipFile(built.code) as archive:
            archive.extractall(empty)
        modules = sorted(
            ".".join(path.relative_to(empty).with_suffix("").parts).removesuffix(".__init__")
            for path in Path(empty, "chalicelib").rglob("*.py")
        )
        script = (
            "import importlib, sys; sys.path.insert(0, sys.argv[1]); "
            "[importlib.import_module(name) for name in sys.argv[2:]]"
        )
        environment = {"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": "eu-west-1", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [interpreter, "-I", "-S", "-c", script, empty, "app", *modules]
        outcome = subprocess.run(command, env=environment, cwd=empty, capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise RuntimeError(f"the package cannot be imported by itself:\n{outcome.stderr}")


def _inputs() -> Iterator[Path]:
    """List the files that a package is made from."""
    yield from sorted((ROOT / "chalicelib").rglob("*.py"))
    yield from (ROOT / name for name in ("app.py", "requirements.txt", ".chalice/config.json"))
    yield from (TEMPLATE.with_name(name) for name in ("template.yaml", "package.py", "alarms.py", "dashboard.py"))


def _running_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _version(interpreter: str) -> str:
    """Ask an interpreter for its ``sys.version``. Empty when the command is no Python."""
    command = [interpreter, "-I", "-c", "import sys; print(sys.version)"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _fingerprint(compiler: str) -> str:
    digest = sha256((sys.version + compiler).encode())
    for path in _inputs():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _chalice_package(folder: Path, target: Target) -> Path:
    """Run ``chalice package`` on a copy, so that it changes neither the repository nor another target's cache.

    Chalice reuses the dependencies that it packaged there until requirements.txt changes. By default it packages for
    the Python that runs it, so the script sets the target's version for Chalice and for the pip that Chalice calls.
    """
    source, output = folder / "source", folder / "chalice"
    for path in (source / "chalicelib", output):
        shutil.rmtree(path, ignore_errors=True)
    (source / ".chalice").mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "chalicelib", source / "chalicelib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("app.py", "requirements.txt"):
        shutil.copy(ROOT / name, source / name)
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    (source / ".chalice" / "config.json").write_text(json.dumps(config | {"lambda_architecture": target.architecture}))
    script = (
        "from chalice.cli import main; from chalice.config import Config; "
        f"Config.lambda_python_version = {target.runtime!r}; main()"
    )
    command = [sys.executable, "-c", script, "package", "--stage", STAGE]
    command += ["--merge-template", str(TEMPLATE), str(output)]
    environment = {"AWS_DEFAULT_REGION": "eu-west-1"} | os.environ
    environment |= {"PIP_PYTHON_VERSION": target.python, "PIP_ONLY_BINARY": ":all:"}
    outcome = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    if outcome.returncode or "Could not install dependencies" in outcome.stderr:
        raise RuntimeError(f"chalice package failed:\n{outcome.stdout}{outcome.stderr}")
    return output


def _template(merged: Path, target: Target) -> dict[str, Any]:
    """Load the merged template; add runtime, alarms and dashboard; drop what functions repeat of the globals."""
    loaded: dict[str, Any] = YAMLTemplateSerializer().load_template(merged.read_text(), str(merged))
    common = loaded["Globals"]["Function"]
    common["Runtime"] = target.runtime
    for resource in loaded["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            for name in common:
                resource["Properties"].pop(name, None)
    add_alarms(loaded)
    add_dashboard(loaded)
    return loaded


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the files that are deployed."""
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder, [name for name in packed.namelist() if _is_deployed(name)])


def _compile(folder: Path, interpreter: str) -> None:
    """Add bytecode of the target's Python, because Lambda cannot keep the bytecode of a cold start."""
    command = [interpreter, "-I", "-m", "compileall", "-q", "-s", str(folder), "--invalidation-mode", "unchecked-hash"]
    subprocess.run([*command, str(folder)], check=True, capture_output=True)


def _is_deployed(name: str) -> bool:
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

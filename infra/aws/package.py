"""Packaging: what ``chalice package`` makes of the application, with our template merged, trimmed and reproducible.

A package is for one Python and one architecture: AWS ends runtimes on dates of its own, and the local stack runs
functions in the Python that runs it. The same code, template and compiler make the same zip, byte for byte; unchanged
input is not packaged again.
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
"""Services the deployed code calls: the only service descriptions of botocore that are packaged."""

_MACHINES: dict[Architecture, tuple[str, int]] = {"arm64": ("aarch64", 183), "x86_64": ("x86_64", 62)}
"""What compiled modules call an architecture: in their names, and in their headers (``e_machine`` of ELF)."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_NEVER_IMPORTED = ("boto3/examples/", "bin/")


@dataclass(frozen=True, slots=True)
class Target:
    """What a package is made to run on."""

    python: str
    """Version, as ``3.13``."""
    architecture: Architecture

    @property
    def runtime(self) -> str:
        """Lambda's name for it."""
        return f"python{self.python}"

    def interpreter(self) -> str | None:
        """A Python of this version on this machine, if there is one."""
        if self.python == _running_version():
            return sys.executable
        found = shutil.which(self.runtime)
        return found if found and _version(found).startswith(f"{self.python}.") else None


AWS = Target("3.13", "arm64")
"""What ``livedrop deploy`` makes. Its Python must be one in which AWS still lets functions be made."""


@dataclass(frozen=True, slots=True)
class Package:
    """A packaged application: the template to deploy and the code that it names by parameters."""

    template: Path
    code: Path
    unpacked: Path
    """The code's files, as Lambda would lay them out."""
    target: Target

    @property
    def key(self) -> str:
        """Where the code goes in its bucket: named after its content."""
        return f"livedrop/{sha256(self.code.read_bytes()).hexdigest()[:32]}.zip"


def native_architecture() -> Architecture:
    """The architecture of this machine."""
    return "arm64" if platform.machine() in {"aarch64", "arm64"} else "x86_64"


def local_target() -> Target:
    """This machine and the Python that runs here: for the local stack."""
    return Target(_running_version(), native_architecture())


def package(target: Target, folder: Path | None = None) -> tuple[Package, bool]:
    """Package the application for a target; also says whether that was needed.

    One process packages, others wait for it. ``RuntimeError`` when something compiled in it is for another target, or
    when it cannot be imported by itself (checked where this machine can run it).
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
    """The machine code in a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF")


def unloadable_files(folder: Path, target: Target) -> list[str]:
    """Compiled files that the target cannot load: for another Python by their names, or another machine inside."""
    machine, number = _MACHINES[target.architecture]
    suffixes = (f".cpython-{target.python.replace('.', '')}-{machine}-linux-gnu.so", ".abi3.so")
    return [
        str(path.relative_to(folder))
        for path in compiled_files(folder)
        if not path.name.endswith(suffixes) or int.from_bytes(path.read_bytes()[18:20], "little") != number
    ]


def check_imports(built: Package, interpreter: str) -> None:
    """Import every module of ours from the zip alone, in an interpreter that sees nothing else."""
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
        raise RuntimeError(f"the package does not import by itself:\n{outcome.stderr}")


def _inputs() -> Iterator[Path]:
    yield from sorted((ROOT / "chalicelib").rglob("*.py"))
    yield from (ROOT / name for name in ("app.py", "requirements.txt", ".chalice/config.json"))
    yield from (TEMPLATE.with_name(name) for name in ("template.yaml", "package.py", "alarms.py", "dashboard.py"))


def _running_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _version(interpreter: str) -> str:
    """What ``sys.version`` is there; empty for a command that is no Python after all."""
    command = [interpreter, "-I", "-c", "import sys; print(sys.version)"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _fingerprint(compiler: str) -> str:
    digest = sha256((sys.version + compiler).encode())
    for path in _inputs():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _chalice_package(folder: Path, target: Target) -> Path:
    """Run ``chalice package`` on a copy, so that neither the repository nor another target's cache is touched.

    Chalice keeps the dependencies it packaged there and takes them again while requirements.txt is unchanged. It would
    package for the Python that runs it: both it and the pip that it calls are told the target's.
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
    """The merged template, in JSON's terms: with runtime and alarms, without what functions repeat of the globals."""
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
    """Lay out what is deployed."""
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder, [name for name in packed.namelist() if _is_deployed(name)])


def _compile(folder: Path, interpreter: str) -> None:
    """Add bytecode: Lambda could not keep what it compiles at each cold start. Another Python's would be ignored."""
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

"""The embedded AWS engine: PyPI ``ministack`` in an environment of its own, on loopback, under uvicorn.

Its event loop and parser are swapped for uvloop and httptools, which makes it a good deal faster than its own
server. It must be ended by SIGTERM: its state is written while it shuts down.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from infra.local.processes import LOOPBACK, end, free_port, launch, locked

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).with_name("emulator-requirements.txt")
REGION = "eu-west-1"
ACCOUNT = "000000000000"
"""The access key of the local stack. The engine takes twelve digits as the account; unsigned calls are of this one."""

_READY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running engine."""

    pid: int
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def endpoint(self) -> str:
        """What AWS clients take as their endpoint URL."""
        return f"http://{LOOPBACK}:{self.port}"

    def stop(self) -> None:
        """End it in order: what it should keep is written first."""
        end(self.pid)
        self.process.wait()


def environment(endpoint: str, account: str = ACCOUNT) -> dict[str, str]:
    """The variables that point every AWS client of a process at an engine."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def without_aws(variables: dict[str, str]) -> dict[str, str]:
    """Variables that reach no real account and no other Python environment."""
    return {
        name: value
        for name, value in variables.items()
        if not name.startswith(("AWS_", "PYTHON", "VIRTUAL_ENV", "COV_"))
    }


def prepare(folder: Path | None = None) -> Path:
    """The engine's Python, its environment built at first use (about half a minute) and whenever the pins change.

    One process builds, others wait for it. Packages come from wherever pip is configured to look.
    """
    folder = folder or ROOT / ".livedrop" / "emulator"
    python = folder / "bin" / "python"
    stamp = folder / "stamp"
    wanted = sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock")):
        if stamp.exists() and stamp.read_text() == wanted and python.exists():
            return python
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install: list[str | Path] = [
            python,
            "-m",
            "pip",
            "install",
            "-qq",
            "--disable-pip-version-check",
            "-r",
            REQUIREMENTS,
        ]
        subprocess.run(install, check=True, env=without_aws(dict(os.environ)))
        stamp.write_text(wanted)
    return python


def start(folder: Path, *, port: int | None = None, keep: bool = False) -> Emulator:
    """Start an engine and wait until it answers.

    ``home`` takes its log and, with ``keep``, its state, which outlives a stop in order. Without ``port`` a free one is
    taken. ``RuntimeError`` with the log's end when it does not come up.
    """
    python = prepare()
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    log = folder / "emulator.log"
    process = launch(_command(python, port), environment=_variables(folder, port, keep), log=log, folder=folder)
    emulator = Emulator(process.pid, port, process, log)
    try:
        _wait_until_ready(emulator)
    except BaseException:
        emulator.stop()
        raise
    return emulator


@contextmanager
def temporary() -> Iterator[Emulator]:
    """An engine on a free port that keeps nothing and leaves nothing behind."""
    folder = Path(tempfile.mkdtemp(prefix="livedrop-emulator-"))
    try:
        emulator = start(folder)
        try:
            yield emulator
        finally:
            emulator.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _command(python: Path, port: int) -> list[str | Path]:
    server = ["-m", "uvicorn", "ministack.app:app", "--host", LOOPBACK, "--port", str(port)]
    fast = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    return [python, *server, *fast, "--timeout-keep-alive", "75", "--timeout-graceful-shutdown", "5"]


def _variables(folder: Path, port: int, keep: bool) -> dict[str, str]:
    variables = without_aws(dict(os.environ))
    variables |= {
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": LOOPBACK,
        "MINISTACK_REGION": REGION,
        "LAMBDA_EXECUTOR": "local",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "DOCKER_HOST": "unix:///nonexistent",  # it would look for containers of its own to clean up
        "LOG_LEVEL": "WARNING",
        "TMPDIR": str(folder),
        "S3_DATA_DIR": str(folder / "s3"),
        "STATE_DIR": str(folder / "state"),
    }
    if keep:
        variables |= {"PERSIST_STATE": "1", "S3_PERSIST": "1"}
    return variables


def _wait_until_ready(emulator: Emulator) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and emulator.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{emulator.endpoint}/_ministack/health", timeout=2):  # noqa: S310 - loopback
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    tail = emulator.log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"the AWS engine did not come up on port {emulator.port}:\n{tail}")

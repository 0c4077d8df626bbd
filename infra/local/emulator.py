"""The local AWS emulator: PyPI ``ministack`` in its own Python environment, on loopback, under uvicorn.

With uvloop and httptools it is a good deal faster than with its own server. Stop it by SIGTERM: it writes its state
while it shuts down.
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
from infra.paths import ROOT

REQUIREMENTS = Path(__file__).with_name("emulator-requirements.txt")
REGION = "eu-west-1"
ACCOUNT = "000000000000"
"""The access key of the local stack. ministack takes its twelve digits as the account, also for unsigned calls."""

_READY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator."""

    pid: int
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def endpoint(self) -> str:
        """The endpoint URL for AWS clients."""
        return f"http://{LOOPBACK}:{self.port}"

    def stop(self) -> None:
        """Stop the emulator cleanly: it first writes the state that it keeps."""
        end(self.pid)
        self.process.wait()


def environment(endpoint: str, account: str = ACCOUNT) -> dict[str, str]:
    """Return the variables that point every AWS client of a process at an emulator."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def without_aws(variables: dict[str, str]) -> dict[str, str]:
    """Drop the variables that could reach a real account or another Python environment."""
    return {
        name: value
        for name, value in variables.items()
        if not name.startswith(("AWS_", "PYTHON", "VIRTUAL_ENV", "COV_"))
    }


def prepare(folder: Path | None = None) -> Path:
    """Return the emulator's Python. Builds its environment at first use and whenever the pins change.

    A build takes about half a minute. One process builds while others wait. pip's configuration names the index.
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
        options = ["-qq", "--disable-pip-version-check"]
        install: list[str | Path] = [python, "-m", "pip", "install", *options, "-r", REQUIREMENTS]
        subprocess.run(install, check=True, env=without_aws(dict(os.environ)))
        stamp.write_text(wanted)
    return python


def start(folder: Path, *, port: int | None = None, keep: bool = False) -> Emulator:
    """Start an emulator and wait until it answers.

    ``folder`` takes its log and, with ``keep``, its state, which survives a clean stop. Without ``port`` the emulator
    listens on a free one.

    Raises: RuntimeError, with the end of the log, when the emulator does not start.
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
    """Run an emulator on a free port; it leaves no file and no process behind."""
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
        "DOCKER_HOST": "unix:///nonexistent",  # ministack would search for its own containers to clean up
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
    raise RuntimeError(f"the AWS emulator did not start on port {emulator.port}:\n{tail}")

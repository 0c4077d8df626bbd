"""Files of the repository that several commands read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
"""The repository's root."""
TEMPLATE: Final = ROOT / "infra" / "aws" / "template.yaml"
"""The SAM template, before packaging merges it."""
BUILD: Final = ROOT / "build"
"""Packages and reports; `make clean` deletes it."""

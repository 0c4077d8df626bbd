"""The package for AWS is built for the Python and the machine there, and not for those of this machine."""

from __future__ import annotations

import json
import platform
import sys
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.aws.package import AWS, Package, Target, compiled_files, local_target, package, unloadable_files

COMPILED = ("_pydantic_core", "cd", "md")
"""The compiled modules: one of pydantic-core and two of charset-normalizer."""
ELF_MACHINES = {"arm64": 183, "x86_64": 62}


@pytest.fixture(scope="module")
def for_aws() -> Package:
    return package(AWS)[0]


def test_compiled_modules_for_aws_are_for_its_python_and_machine(for_aws: Package) -> None:
    modules = compiled_files(for_aws.unpacked)
    assert sorted(path.name for path in modules) == [f"{name}.cpython-313-aarch64-linux-gnu.so" for name in COMPILED]
    assert {path.name for path in modules} == {path.name for path in for_aws.unpacked.rglob("*.so")}
    assert unloadable_files(for_aws.unpacked, AWS) == []


def test_package_for_aws_is_unloadable_on_any_other_target(for_aws: Package) -> None:
    for other in (Target("3.11", "arm64"), Target("3.14", "arm64"), Target("3.13", "x86_64")):
        names = sorted(name.rpartition("/")[2].partition(".")[0] for name in unloadable_files(for_aws.unpacked, other))
        assert names == list(COMPILED)


def test_functions_for_aws_have_the_runtime_of_their_package(for_aws: Package) -> None:
    template = json.loads(for_aws.template.read_text())
    assert template["Globals"]["Function"]["Runtime"] == AWS.runtime == "python3.13"
    functions = [one for one in template["Resources"].values() if one["Type"] == "AWS::Serverless::Function"]
    assert functions
    assert not [function for function in functions if "Runtime" in function["Properties"]]


def test_bytecode_for_aws_is_for_its_python_or_absent(for_aws: Package) -> None:
    tags = {path.suffixes[-2] for path in for_aws.unpacked.rglob("*.pyc")}
    assert tags == ({".cpython-313"} if AWS.interpreter() else set())


def test_lock_has_every_requirement_of_the_python_on_aws(for_aws: Package) -> None:
    """Another Python resolves the lock, so a requirement under a marker could be missing."""
    there = {"python_version": AWS.python, "python_full_version": f"{AWS.python}.0", "extra": ""}
    there |= {"platform_machine": "aarch64", "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    about = [HeaderParser().parsestr(path.read_text()) for path in for_aws.unpacked.glob("*.dist-info/METADATA")]
    versions = {canonicalize_name(one["Name"]): one["Version"] for one in about}
    wanted = [Requirement(line) for one in about for line in one.get_all("Requires-Dist", [])]
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate(there)]
    assert len(wanted) > 5
    unmet = [str(one) for one in wanted if not one.specifier.contains(versions.get(canonicalize_name(one.name), "0"))]
    assert unmet == []


def test_local_stack_uses_this_python_and_this_machine() -> None:
    machine = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
    assert local_target() == Target("{}.{}".format(*sys.version_info), machine)  # type: ignore[arg-type]
    assert local_target().interpreter() == sys.executable


@pytest.mark.parametrize(
    ("name", "machine", "accepted"),
    [
        ("a.cpython-313-aarch64-linux-gnu.so", "arm64", True),
        ("a.abi3.so", "arm64", True),
        ("a.cpython-311-aarch64-linux-gnu.so", "arm64", False),
        ("a.cpython-313-x86_64-linux-gnu.so", "x86_64", False),
        ("a.cpython-313-aarch64-linux-gnu.so", "x86_64", False),
        ("a.abi3.so", "x86_64", False),
        ("tool", "arm64", False),
    ],
)
def test_compiled_module_is_accepted_by_its_name_and_header(
    tmp_path: Path, name: str, machine: str, accepted: bool
) -> None:
    (tmp_path / name).write_bytes(b"\x7fELF".ljust(18, b"\0") + ELF_MACHINES[machine].to_bytes(2, "little"))
    assert unloadable_files(tmp_path, Target("3.13", "arm64")) == ([] if accepted else [name])


def test_interpreter_of_another_version_is_not_used_for_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "python3.99"
    for version, found in (("3.99.1 (main)", str(stand_in)), ("3.9.9 (main)", None)):
        stand_in.write_text(f"#!/bin/sh\necho '{version}'\n")
        stand_in.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        assert Target("3.99", "arm64").interpreter() == found

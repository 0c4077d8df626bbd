"""Codes and metric names that ``chalicelib`` can emit, read from its syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from typing import Final

from chalicelib import errors
from infra.paths import ROOT

_COUNTERS: Final = ("count", "measure")


@cache
def _modules_by_name() -> dict[str, ast.Module]:
    paths = sorted((ROOT / "chalicelib").rglob("*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return {name: ast.parse(path.read_text()) for name, path in zip(names, paths, strict=True)}


def _modules() -> tuple[ast.Module, ...]:
    return tuple(_modules_by_name().values())


def _calls(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node


def _constant(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _constant_or_named(node: ast.AST | None, module: ast.Module) -> str | None:
    """A constant, or the value of a name that the module assigns or imports."""
    if not isinstance(node, ast.Name):
        return _constant(node)
    for statement in module.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=node.id), value=value):
                return _constant(value)
            case ast.Assign(targets=[ast.Name(id=node.id)], value=value):
                return _constant(value)
            case ast.ImportFrom(module=str(name)) if node.id in {one.name for one in statement.names}:
                source = _modules_by_name().get(name)
                return _constant_or_named(node, source) if source is not None else None
    return None


def _keyword(call: ast.Call, name: str) -> ast.AST | None:
    return next((one.value for one in call.keywords if one.arg == name), None)


def message_codes() -> dict[str, set[str]]:
    """Codes of messages to buyers, and as what each is sent: ``error``, ``warning`` or ``info``.

    A message whose code is a variable takes it from a table of the same function or module, whose values are tuples of
    code and sentence.
    """
    found: dict[str, set[str]] = {}
    for module in _modules():
        for function in _functions(module):
            for call in _calls(function, "Message"):
                kind = _constant(_keyword(call, "type")) or "error"
                code = _constant(call.args[0])
                for one in [code] if code else _tabulated(function, module):
                    found.setdefault(one, set()).add(kind)
    return found


def _functions(module: ast.Module) -> Iterator[ast.AST]:
    """Each statement at the top of the module, so that constants count too."""
    yield from module.body


def _tabulated(function: ast.AST, module: ast.Module) -> Iterator[str]:
    used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    for node in [*ast.walk(function), *module.body]:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if used & {target.id for target in targets if isinstance(target, ast.Name)}:
                for value in node.value.values:
                    if isinstance(value, ast.Tuple) and (code := _constant(value.elts[0])):
                        yield code


def problem_codes() -> dict[str, set[int]]:
    """Codes of errors, with the HTTP statuses that they come with."""
    classes = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    tree = {name: kind for name, kind in classes.items() if issubclass(kind, errors.LivedropError)}
    found = {kind.code: {kind.status} for kind in tree.values()}
    for module in _modules():
        for status, name in _codes_by_status(module):
            found.setdefault(name, set()).add(status)
        helpers = _raising(module, tree)
        for call in _calls(module, *tree, *helpers):
            code = _constant_or_named(_keyword(call, "code"), module)
            if code and isinstance(call.func, ast.Name):
                raised = tree.get(call.func.id) or helpers[call.func.id]
                found.setdefault(code, set()).add(raised.status)
    return found


def _codes_by_status(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Tables of a module, named ``…CODES``, from an HTTP status to a code."""
    for node in module.body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Dict)
            and "CODES" in ast.unparse(node.targets[0])
        ):
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, int) and (code := _constant(value)):
                    yield key.value, code


def _raising(module: ast.Module, tree: dict[str, type[errors.LivedropError]]) -> dict[str, type[errors.LivedropError]]:
    """Functions of a module that make an error and pass a ``code`` on to it."""
    return {
        function.name: tree[made.func.id]
        for function in ast.walk(module)
        if isinstance(function, ast.FunctionDef)
        for made in _calls(function, *tree)
        if isinstance(made.func, ast.Name) and isinstance(_keyword(made, "code"), ast.Name)
    }


def refusal_codes() -> list[str]:
    """Reasons for which a cue is refused."""
    codes = [_constant(call.args[0]) for module in _modules() for call in _calls(module, "CueRefused")]
    return sorted({code for code in codes if code})


def metric_names() -> list[str]:
    """Metrics that the functions count or measure. A name that is made at run time has its variable part as ``…``."""
    names = set[str]()
    for module in _modules():
        for call in _calls(module, *_COUNTERS):
            names |= {name for name in _strings(call.args[0], module) if "_" in name or name.islower()}
    return sorted(names)


def _strings(node: ast.AST, module: ast.Module) -> Iterator[str]:
    """Strings that an expression may be: constants, choices, f-strings, and values of a module's table."""
    if (text := _constant(node)) is not None:
        yield text
    elif isinstance(node, ast.IfExp):
        yield from _strings(node.body, module)
        yield from _strings(node.orelse, module)
    elif isinstance(node, ast.JoinedStr):
        yield "".join(_constant(part) or "…" for part in node.values)
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        for table in module.body:
            if isinstance(table, ast.Assign | ast.AnnAssign) and isinstance(table.value, ast.Dict):
                target = table.targets[0] if isinstance(table, ast.Assign) else table.target
                if isinstance(target, ast.Name) and target.id == node.value.id:
                    yield from (text for value in table.value.values if (text := _constant(value)))

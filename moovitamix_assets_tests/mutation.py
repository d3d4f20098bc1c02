"""Small defects made on purpose, and which of them no unit test notices.

A mutant changes one thing of one product module, in memory only, in a process of its own. It has to pass the test file
that mirrors the module, those that import it and its neighbours, as far as they call the changed function. Own code,
because the libraries for this skip SQL and decorated functions (every asset and check), or write into the working copy.
Defects that only integration tests see, or processes that a test starts, count as survivors.
"""

import argparse
import ast
import copy
import importlib
import importlib.util
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import CodeType, FrameType
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES, TESTS = ("foundation", "moovitamix_assets"), "moovitamix_assets_tests"
# Slow to import: loaded once, before the processes part, as is all that conftest.py imports.
PRELOADED = (
    "lightfm",
    "implicit.als",
    "rectools.metrics",
    "sklearn.metrics",
    "hypothesis",
    "matplotlib.pyplot",
)
_RELOADED = (*PACKAGES, *(f"{name}_tests" for name in PACKAGES), "mock_api")
SHORTEST_TIMEOUT, TIMEOUT_FACTOR = 20.0, 5.0
# Keyword arguments that only people read, or that no test should ask about.
COSMETIC = {"description", "owners", "kinds", "group_name", "metadata", "frozen", "dtype", "strict"}
_PAIRS = "Lt LtE, Gt GtE, Eq NotEq, In NotIn, Is IsNot, And Or, Add Sub, Mult Div, BitAnd BitOr, Pow Mult"
_NAMED = [[getattr(ast, name) for name in pair.split()] for pair in _PAIRS.split(", ")]
OPERATORS = {other: one for one, other in reversed(_NAMED)} | dict(_NAMED)
SQL = re.compile(r"\b(SELECT|WHERE|FILTER|JOIN|QUALIFY|listened_at|changed_on|as_of)\b.* ")
SQL_CHANGES = [
    ("<=", "<"), (">=", ">"), ("<(?![=>])", "<="), ("(?<!<)>(?!=)", ">="), (" = ", " <> "), (r"\bDESC\b", "ASC"),
    (r"\bAND\b", "OR"), (r"\b(SEMI|ANTI) JOIN\b", "LEFT JOIN"), (r"\bmax\(", "min("), (" [+] ", " - "), (" - ", " + "),
]  # fmt: skip


class Mutant(NamedTuple):
    """A changed module; `function` is the first line of the function it was changed in, 1 outside of any."""

    change: str
    code: CodeType
    function: int


def mutants(path: Path, lines: set[int] | None) -> Iterator[Mutant]:
    """Every small change of a module, or of some of its lines."""
    tree = ast.parse(path.read_text())
    for parent, name, index, node, function in list(_nodes(tree, 1)):
        line = getattr(node, "lineno", getattr(parent, "lineno", 0))
        if lines is not None and not lines & set(range(line, getattr(node, "end_lineno", line) + 1)):
            continue
        for other in _replacements(parent, name, node):
            before = _text(parent, node)
            _put(parent, name, index, other)
            code = compile(ast.fix_missing_locations(copy.deepcopy(tree)), str(path), "exec")
            yield Mutant(f"{path.name}:{line}: {before}  ->  {_text(parent, other)}", code, function)
            _put(parent, name, index, node)


def _nodes(parent: ast.AST, function: int) -> Iterator[tuple[ast.AST, str, int | None, ast.AST, int]]:
    """All nodes but annotations, docstrings, errors raised and what is cosmetic, each with its parent and place."""
    for name, value in ast.iter_fields(parent):
        for index, node in enumerate(value if isinstance(value, list) else [value]):
            docstring = isinstance(parent, ast.Expr) and isinstance(node, ast.Constant)
            cosmetic = isinstance(node, ast.keyword) and node.arg in COSMETIC
            if not isinstance(node, ast.AST) or isinstance(node, ast.Raise) or docstring or cosmetic:
                continue
            if name not in ("annotation", "returns"):
                starts = function == 1 and isinstance(node, ast.FunctionDef)
                inner = min(part.lineno for part in (node, *node.decorator_list)) if starts else function
                yield parent, name, index if isinstance(value, list) else None, node, inner
                yield from _nodes(node, inner)


def _put(parent: ast.AST, name: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[index] = node


def _text(parent: ast.AST, node: ast.AST) -> str:
    shown = parent if isinstance(node, ast.operator | ast.cmpop | ast.boolop) else node
    return " ".join(ast.unparse(shown).split())[:160]


def _replacements(parent: ast.AST, name: str, node: ast.AST) -> Iterator[ast.AST]:
    if type(node) in OPERATORS:
        yield OPERATORS[type(node)]()
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Return) and node.value and ast.unparse(node.value) != "None":
        yield ast.Return(ast.Constant(None))
    elif isinstance(node, ast.AugAssign):
        yield ast.Pass()
    elif isinstance(node, ast.Call) and isinstance(parent, ast.Expr):
        yield ast.Constant(None)
    elif isinstance(node, ast.Call):
        for left_out in [each for each in node.keywords if each.arg not in COSMETIC]:
            yield ast.Call(node.func, node.args, [each for each in node.keywords if each is not left_out])
    elif isinstance(node, ast.Constant):
        yield from (ast.Constant(other) for other in _other_values(node.value))
    if name == "test" and not isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp):
        yield ast.UnaryOp(ast.Not(), node)


def _other_values(value: object) -> Iterator[object]:
    if isinstance(value, int | float):
        yield not value if isinstance(value, bool) else value + 1
    elif isinstance(value, str) and SQL.search(value):
        for pattern, other in SQL_CHANGES:
            for found in re.finditer(pattern, value):
                yield value[: found.start()] + other + value[found.end() :]


def files_testing(path: Path) -> list[Path]:
    """The test files that may notice a change of a module: its mirror image, those that import it, its neighbours."""
    package = ".".join(path.relative_to(ROOT).parent.parts)
    imports = re.compile(rf"{re.escape(package)}(\.| import .*\b){path.stem}\b")
    package, *rooms = path.relative_to(ROOT).parent.parts
    mirror = ROOT.joinpath(f"{package}_tests", "unit", *rooms, f"test_{path.name}")
    folders = [ROOT / f"{name}_tests" / part for name in PACKAGES for part in ("unit", "checks")]
    found = [test for folder in folders for test in sorted(folder.rglob("test_*.py"))]
    importing = [test for test in found if imports.search(test.read_text())]
    neighbours = [test for test in found if test.parent == mirror.parent]
    return list(dict.fromkeys([*(test for test in found if test == mirror), *importing, *neighbours]))


def outcome(
    tests: list[Path], path: Path, code: CodeType | None, seconds: float
) -> tuple[int | None, set[int]]:
    """Run tests in a process that parts from this one, with other code for one module if it is given.

    Returns:
        Their exit code (None if they took too long), and the first lines of the module's functions that were called.
    """
    with NamedTemporaryFile("r") as report:
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                os._exit(_run(tests, path, code, Path(report.name)))
            os._exit(pytest.ExitCode.INTERNAL_ERROR)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status), set(json.loads(report.read() or "[]"))
            time.sleep(0.02)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return None, set()


def _run(tests: list[Path], path: Path, code: CodeType | None, report: Path) -> int:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    for name in [name for name in sys.modules if name.partition(".")[0] in _RELOADED]:
        del sys.modules[name]
    called: set[int] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename == str(path):
            called.add(frame.f_code.co_firstlineno)

    if code is None:
        sys.setprofile(note)
    else:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        package = importlib.import_module(name.rpartition(".")[0])
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        exec(code, vars(module))
        setattr(package, path.stem, module)
    result = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *map(str, tests)]))
    sys.setprofile(None)
    report.write_text(json.dumps(sorted(called)))
    return result


def survivors(path: Path, lines: set[int] | None, most: int | None) -> tuple[list[str], int]:
    """The mutants of a module that no test noticed, and how many there were."""
    every, calls, seconds = list(mutants(path, lines)), {}, {}
    if most is not None and len(every) > most:
        every = [every[at] for at in sorted(random.Random(0).sample(range(len(every)), most))]
    for test in files_testing(path):
        began = time.monotonic()
        code, calls[test] = outcome([test], path, None, 3600)
        seconds[test] = time.monotonic() - began
        if code != pytest.ExitCode.OK:
            raise SystemExit(f"{test.relative_to(ROOT)} fails without any mutant: mend that first")
    print(f"{path.relative_to(ROOT)}: {len(every)} mutants, {len(calls)} test files", flush=True)
    left = []
    for change, code, function in every:
        chosen = [test for test, called in calls.items() if function == 1 or function in called]
        allowed = max(SHORTEST_TIMEOUT, TIMEOUT_FACTOR * sum(seconds[test] for test in chosen))
        if not chosen or outcome(chosen, path, code, allowed)[0] == pytest.ExitCode.OK:
            left.append(change)
            print(f"  survived: {change}", flush=True)
    return left, len(every)


def changed_since(base: str) -> dict[Path, set[int] | None]:
    """The lines of each product module that differ from a revision."""
    command = ["git", "diff", "--unified=0", "--no-color", "--diff-filter=d", base, "--"]
    command += [f"{package}/*.py" for package in PACKAGES]
    text = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    changed: dict[Path, set[int] | None] = {}
    for file in text.split("\n+++ b/")[1:]:
        hunks = re.findall(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", file, re.MULTILINE)
        spans = [range(int(first), int(first) + int(count or 1)) for first, count in hunks]
        changed[ROOT / file.partition("\n")[0]] = {line for span in spans for line in span}
    return changed


def main() -> int:
    """Mutate what changed, or what is named; the exit code is 1 if a mutant survived."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {TESTS}.mutation", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--base", default="HEAD", help="mutate the lines that differ from this revision (HEAD)"
    )
    parser.add_argument(
        "--module", type=Path, action="append", help="mutate this file, whole; may be repeated"
    )
    parser.add_argument("--most", type=int, help="of more mutants of a module, a sample of so many")
    given = parser.parse_args()
    modules = {path.resolve(): None for path in given.module or []} or changed_since(given.base)
    os.chdir(ROOT)
    for name in (f"{TESTS}.conftest", *PRELOADED):
        importlib.import_module(name)
    results = [survivors(path, lines, given.most) for path, lines in modules.items()]
    left, tried = sum(len(found) for found, _ in results), sum(count for _, count in results)
    print(f"{tried - left} of {tried} mutants were noticed, {left} survived.")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())

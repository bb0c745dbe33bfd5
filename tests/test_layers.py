"""The architecture, read from the source: what is pure stays pure, and nothing flows back."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "fdr").rglob("*.py"))
}

MUST_BE_PURE = """
    audit.compare audit.finding audit.record inventory
    noise.beats noise.fold noise.pair noise.recipe noise.result noise.scenario
    probe.asked probe.jobs probe.plan probe.result probe.site
    abort_when arrivals budget draw errors expression forecast metrics model names objectives plan recent
    rucio_schema scenario.check scenario.lines scenario.quantities scenario.sets scenario.shape scenario.types
    scenario.whole sizes units window lake.xrootd_cfg
"""
# What a pure module may import from outside: nothing here opens, connects, waits or reads a clock.
WITHOUT_IO = """
    __future__ abc array bisect collections copy dataclasses datetime decimal difflib enum errno fnmatch
    fractions functools hashlib heapq html itertools json math operator random re statistics string struct
    textwrap types typing urllib.parse uuid zlib pydantic pydantic_core yaml
"""
ACTS = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}
CLOCKS_AND_DICE = {"now", "utcnow", "today", "uuid1", "uuid4", "SystemRandom", "seed"}

# Importer: what it must not reach, over any number of imports.
RUNNING = ("engine", "actions", "rehearsal", "rehearse", "preflight", "registrar", "watch", "stop")
LAKE = (
    "catalog",
    "rucio_catalog",
    "inventory",
    "rucio_inventory",
    "rucio_door",
    "storage",
    "lake",
    "transfer_events",
    "services",
)
SHOWING = ("report", "live", "cli", "commands")
NEVER_REACHES = {
    "scenario": (*RUNNING, *LAKE, *SHOWING, "journal.writer", "journal.reader", "metrics"),
    "plan_view": (*RUNNING, *LAKE, *SHOWING, "journal.writer", "journal.reader"),
    "report": (*RUNNING, *LAKE, "live", "cli", "commands", "journal.writer", "scenario"),
    "audit.auditor": ("lake", "rucio_door", *SHOWING, "journal.writer", "engine", "plan", "scenario"),
    "live": (*RUNNING, *LAKE, "cli", "commands", "journal.writer"),
    "engine": (*SHOWING, "lake", "rucio_catalog", "rucio_door", "metrics", "fold", "plan", "scenario"),
    "actions": (*SHOWING, "lake", "rucio_catalog", "rucio_door", "metrics", "fold", "plan", "scenario"),
    "journal.writer": (*RUNNING, *LAKE, *SHOWING, "metrics", "fold", "plan", "scenario"),
    "journal.reader": (*RUNNING, *LAKE, *SHOWING, "plan", "scenario"),
    "catalog": (*RUNNING, *SHOWING, "journal", "lake", "storage", "rucio_door", "plan", "scenario"),
    "rucio_catalog": (*RUNNING, *SHOWING, "journal", "lake", "storage", "plan", "scenario"),
    "inventory": (*RUNNING, *SHOWING, "journal", "lake", "storage", "rucio_door", "plan", "scenario"),
    "rucio_inventory": (*RUNNING, *SHOWING, "journal", "lake", "storage", "plan", "scenario"),
    "storage": (*RUNNING, *SHOWING, "catalog", "journal", "lake", "plan", "scenario"),
    "lake": (*RUNNING, "report", "live", "cli", "journal.writer", "journal.reader", "metrics", "plan"),
}
# Foreign libraries come in by these doors only.
DOORS = {
    "gfal2": ("storage", "lake"),
    "rucio": ("rucio_client", "rucio_door", "pfn", "lake"),
    "sqlite3": ("journal", "lake"),
    "stomp": ("subscription", "lake"),
    "matplotlib": ("report",),
    "jinja2": ("report",),
    "junitparser": ("report",),
    "typer": ("cli", "commands", "lake"),
    "asyncio_pool": ("upload_slots",),
    "supervisor": ("lake",),
    "starlette": ("lake",),
    "uvicorn": ("lake",),
    "psutil": ("lake", "services", "samples"),
    "prometheus_client": ("exposition", "noise.numbers", "noise.telling", "probe.numbers", "probe.telling"),
    "requests": ("rucio_client", "rucio_door", "probe.fts", "lake"),
    "cryptography": ("lake", "probe.delegation"),
    "pydantic": ("scenario",),
    "yaml": ("scenario.lines",),
}


@cache
def parsed(module):
    """Return a module's syntax tree."""
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def run_time_nodes(node):
    """Yield the nodes below one, but for what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if (
            isinstance(child, ast.If)
            and isinstance(child.test, ast.Name)
            and child.test.id == "TYPE_CHECKING"
        ):
            continue
        yield child
        yield from run_time_nodes(child)


@cache
def imports(module):
    """Return the full names of what a module imports when it runs, its own package's parts included."""
    found = set()
    for node in run_time_nodes(parsed(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import hides what it imports"
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {part if part in MODULES else node.module for part in parts}
    return found


@cache
def reached(module):
    """Return every module of the project that importing a module brings in."""
    seen, ahead = set(), [module]
    while ahead:
        for name in imports(ahead.pop()):
            if name in MODULES and name not in seen:
                seen.add(name)
                ahead.append(name)
    return seen


def is_within(module, part):
    """Tell whether a module is a part of the project, or lies below it."""
    return module == f"fdr.{part}" or module.startswith(f"fdr.{part}.")


def is_pure(module):
    """Tell whether a module says of itself that it is pure."""
    return "Pure." in (ast.get_docstring(parsed(module)) or "").partition("\n\n")[0]


# The stand-in for FTS3 is a service of its own; what turns a posted job into a value draws its id, as FTS3
# does, from the clock.
PURE = [module for module in MODULES if is_pure(module) and not is_within(module, "lake.fts")]


def test_the_source_is_found():
    """The checks below look at the whole project, and at every module that must be pure."""
    assert len(MODULES) > 30
    assert {f"fdr.{name}" for name in MUST_BE_PURE.split()} <= set(PURE)


def test_the_reading_of_imports_is_not_blind():
    """Imports are seen where they are known to be, across several modules."""
    assert "yaml" in imports("fdr.scenario.lines")
    assert "fdr.draw" in reached("fdr.forecast")
    assert "fdr.scenario.lines" in reached("fdr.cli")


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_in_a_sentence_what_it_is(module):
    """A module begins with one sentence; empty packages may be silent."""
    text = MODULES[module].read_text(encoding="utf-8").strip()
    docstring = ast.get_docstring(parsed(module)) or ""
    assert not text or docstring.partition("\n")[0].rstrip().endswith((".", ",", "and"))


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_imports_no_io(module):
    """Pure modules import pure modules and libraries that neither open, connect, wait nor read a clock."""
    without_io = set(WITHOUT_IO.split())
    for name in imports(module):
        harmless = name in PURE if name in MODULES else bool({name, name.split(".")[0]} & without_io)
        assert harmless, f"{module} imports {name}"


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_acts_on_nothing(module):
    """Pure modules call nothing that opens, prints, asks the clock or throws dice of its own."""
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ACTS, f"{module}:{node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in CLOCKS_AND_DICE, f"{module}:{node.lineno}"


@pytest.mark.parametrize("importer", NEVER_REACHES)
def test_nothing_flows_back(importer):
    """No part of the project reaches what comes after it, or what it is not to know."""
    inside = [module for module in MODULES if is_within(module, importer)]
    assert inside, f"there is no fdr.{importer} any more: change this test"
    for module in inside:
        for part in NEVER_REACHES[importer]:
            found = [name for name in reached(module) if is_within(name, part)]
            assert not found, f"{module} reaches {found}"


@pytest.mark.parametrize("library", DOORS)
def test_a_foreign_library_has_its_doors(library):
    """A library is imported only where it is said to come in."""
    users = {
        module
        for module in MODULES
        for name in imports(module)
        if name == library or name.startswith(f"{library}.")
    }
    assert users, f"nothing imports {library} any more: change this test"
    assert not [user for user in users if not any(is_within(user, door) for door in DOORS[library])]


def test_nothing_imports_the_command_line():
    """What a command can do, a caller in Python can do without it."""
    line = {module for module in MODULES if is_within(module, "cli") or is_within(module, "commands")}
    outside = [module for module in MODULES if module not in line | {"fdr.__main__"}]
    assert not [module for module in outside if imports(module) & line]

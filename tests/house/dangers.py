"""What no source file may do, because files and names come from strangers: further rules, like those in checks.py.

Unpickling, `eval` and `assert` have their rules there.
"""

from __future__ import annotations

import ast
from pathlib import Path

from house.checks import Source, imported

SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn"}
GUESSABLE = {"tempfile.mktemp", "mktemp"}
WITHOUT_CHECKS = {"ssl._create_unverified_context", "ssl.CERT_NONE"}
UNPACKERS = {"extractall", "extract", "unpack_archive"}
PLAIN_HTTP_IS_ASKED_FOR = {
    Path("data/pictures/fetch.py"): "download_url takes the address that it is given, as fastai's does, and names both kinds",
}
"""Files that may speak of http://, and why."""
UNPACKS_WITH_CARE = {
    Path("compat/downloads.py"): "untar_data lets tarfile's filter and zipfile keep members within a new folder",
}
"""Files that may unpack archives, and why."""


def no_shells(source: Source) -> list[str]:
    """No command line is put together from text: a file name may hold `; rm -rf`."""
    findings = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            shell = any(word.arg == "shell" and not _is(word.value, False) for word in node.keywords)
            if called in SHELLS or called.startswith(("os.exec", "os.spawn")) or (shell and _starts_processes(called)):
                findings.append(source.at(node, f"{called} runs a shell or another program"))
    return findings


def no_unsafe_yaml(source: Source) -> list[str]:
    """YAML is read by `safe_load` only: `load` makes any object that the text names."""
    unsafe = {"yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all", "yaml.unsafe_load_all", "yaml.full_load_all"}
    return [
        source.at(node, f"{ast.unparse(node.func)} runs code from files")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in unsafe
    ]


def no_guessable_names(source: Source) -> list[str]:
    """Temporary files are opened when they are named: in between, another user may put a link there."""
    named = [source.at(node, f"imports {name}") for node, name in imported(source, ast.walk(source.tree)) if name in GUESSABLE]
    return named + [
        source.at(node, f"{ast.unparse(node.func)} gives a name that can be guessed")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in GUESSABLE
    ]


def no_plain_http(source: Source) -> list[str]:
    """What is fetched comes by https, from whom the address names: over http anybody on the way may answer."""
    if source.path in PLAIN_HTTP_IS_ASKED_FOR:
        return []
    return [
        source.at(node, f"the address {node.value[:60]!r}")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and "http://" in node.value.lower().replace("http://127.0.0.1", "").replace("http://localhost", "")
    ]


def no_unchecked_servers(source: Source) -> list[str]:
    """Certificates are checked."""
    return [
        source.at(node, f"{ast.unparse(node)} takes any server's word")
        for node in ast.walk(source.tree)
        if (isinstance(node, ast.Attribute) and ast.unparse(node) in WITHOUT_CHECKS)
        or (isinstance(node, ast.keyword) and node.arg == "verify" and _is(node.value, False))
    ]


def no_careless_unpacking(source: Source) -> list[str]:
    """Archives are taken apart in one place: their members may be links, or lead out of the folder."""
    if source.path in UNPACKS_WITH_CARE:
        return []
    return [
        source.at(node, f"{ast.unparse(node.func)} unpacks an archive")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in UNPACKERS
    ]


def no_markup_on_screen(source: Source) -> list[str]:
    """What is printed passes `PlainConsole`: rich's own console takes `[red]` in a file name for a colour."""
    if source.path == Path("console.py"):
        return []
    return [
        source.at(node, "makes a Console that reads names as markup; use PlainConsole")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Console", "rich.console.Console", "rich.print"}
    ]


def _starts_processes(called: str) -> bool:
    return called.split(".")[-1] in {"run", "Popen", "call", "check_call", "check_output", "create_subprocess_shell"}


def _is(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


DANGERS = (
    no_shells,
    no_unsafe_yaml,
    no_guessable_names,
    no_plain_http,
    no_unchecked_servers,
    no_careless_unpacking,
    no_markup_on_screen,
)
"""These rules, each of which looks at one file at a time."""

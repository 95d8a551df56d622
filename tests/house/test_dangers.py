"""No source file does what a stranger's file or name could turn against its reader, and every rule finds what it forbids."""

from __future__ import annotations

from pathlib import Path

import pytest

from house import dangers
from house.checks import Source, read_package
from house.dangers import DANGERS

PACKAGE = Path(__file__).parents[2] / "src" / "sightline"


@pytest.fixture(scope="module")
def sources():
    return read_package(PACKAGE)


@pytest.mark.parametrize("rule", DANGERS, ids=lambda rule: rule.__name__)
def test_every_file_keeps_the_rule(rule, sources):
    findings = [finding for source in sources for finding in rule(source)]
    assert not findings, f"{rule.__doc__}\n" + "\n".join(findings)


@pytest.mark.parametrize("exceptions", [dangers.PLAIN_HTTP_IS_ASKED_FOR, dangers.UNPACKS_WITH_CARE])
def test_the_exceptions_are_files_that_exist(exceptions):
    assert all((PACKAGE / path).is_file() for path in exceptions)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (dangers.no_shells, "import subprocess\nsubprocess.run(f'ls {name}', shell=True)"),
        (dangers.no_shells, "from subprocess import Popen\nPopen(command, shell=flag)"),
        (dangers.no_shells, "import os\nos.system('ls')"),
        (dangers.no_shells, "import os\nos.execv(path, arguments)"),
        (dangers.no_unsafe_yaml, "import yaml\nyaml.load(text)"),
        (dangers.no_unsafe_yaml, "import yaml\nyaml.unsafe_load(text)"),
        (dangers.no_guessable_names, "import tempfile\ntempfile.mktemp()"),
        (dangers.no_guessable_names, "from tempfile import mktemp"),
        (dangers.no_plain_http, "URL = 'http://example.com/weights.pth'"),
        (dangers.no_plain_http, "URL = f'HTTP://{host}/weights.pth'"),
        (dangers.no_unchecked_servers, "requests.get(url, verify=False)"),
        (dangers.no_unchecked_servers, "context = ssl._create_unverified_context()"),
        (dangers.no_careless_unpacking, "archive.extractall(folder)"),
        (dangers.no_careless_unpacking, "shutil.unpack_archive(path, folder)"),
        (dangers.no_markup_on_screen, "from rich.console import Console\nConsole().print(name)"),
    ],
)
def test_a_rule_finds_what_it_forbids(rule, text):
    findings = rule(Source(Path("data/block.py"), text))
    assert len(findings) == 1
    assert findings[0].startswith("data/block.py:")


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (dangers.no_shells, "import subprocess\nsubprocess.run(['git', 'status'], shell=False)"),
        (dangers.no_unsafe_yaml, "import yaml\nyaml.safe_load(text)"),
        (dangers.no_guessable_names, "import tempfile\ntempfile.mkstemp()"),
        (dangers.no_plain_http, "URLS = 'https://example.com', 'http://127.0.0.1:80', 'http://localhost'"),
        (dangers.no_unchecked_servers, "requests.get(url, verify=True)"),
        (dangers.no_careless_unpacking, "pattern.extract_all(text)"),
        (dangers.no_markup_on_screen, "from sightline.console import PlainConsole\nPlainConsole().print(name)"),
    ],
)
def test_a_rule_leaves_alone_what_it_allows(rule, text):
    assert rule(Source(Path("data/block.py"), text)) == []

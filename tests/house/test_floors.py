"""The rules of the house hold in src/, and every rule is able to find what it forbids."""

from __future__ import annotations

from pathlib import Path

import pytest

from house import checks
from house.checks import EACH_FILE, MOST_LINES, Source, read_package

PACKAGE = Path(__file__).parents[2] / "src" / "sightline"


@pytest.fixture(scope="module")
def sources():
    return read_package(PACKAGE)


def test_the_package_is_found(sources):
    assert {"errors", "target", "data", "model", "train", "cli"} <= {source.room for source in sources}


@pytest.mark.parametrize("rule", EACH_FILE, ids=lambda rule: rule.__name__)
def test_every_file_keeps_the_rule(rule, sources):
    findings = [finding for source in sources for finding in rule(source)]
    assert not findings, f"{rule.__doc__}\n" + "\n".join(findings)


def test_every_public_method_is_described(sources):
    findings = checks.methods_are_described(sources)
    assert not findings, "\n".join(findings)


def findings_in(rule, path, text):
    return rule(Source(Path(path), text))


FORBIDDEN = [
    (checks.no_room_without_a_floor, "attic.py", ""),
    (checks.imports_go_down, "data/block.py", "from sightline.model.head import create_head"),
    (checks.imports_go_down, "data/block.py", "def f():\n    from sightline.train import learner"),
    (checks.imports_go_down, "data/block.py", "from ..model import head"),
    (checks.imports_go_down, "data/block.py", "from .. import predict"),
    (checks.imports_go_down, "model/head.py", "import sightline.data.rows.table"),
    (checks.imports_go_down, "target.py", "from sightline.losses import mse"),
    (checks.imports_go_down, "target.py", "from sightline import preprocess"),
    (checks.imports_go_down, "errors.py", "from sightline.target import Target"),
    (checks.imports_go_down, "train/learner.py", "from sightline import Resize"),
    (checks.imports_go_down, "train/learner.py", "import sightline"),
    (checks.imports_go_down, "train/learner.py", "from sightline.report import page"),
    (checks.only_the_upper_floors_print, "data/block.py", "print('hello')"),
    (checks.only_the_upper_floors_print, "predict.py", "import sys\nsys.stderr.write('hello')"),
    (checks.no_star_imports, "data/block.py", "from sightline.errors import *"),
    (checks.nothing_unpickles, "bundle.py", "import pickle"),
    (checks.nothing_unpickles, "bundle.py", "def f():\n    from cloudpickle import loads"),
    (checks.nothing_unpickles, "bundle.py", "import torch\ntorch.load('a.pth')"),
    (checks.nothing_unpickles, "bundle.py", "import torch\ntorch.load('a.pth', weights_only=False)"),
    (checks.nothing_unpickles, "bundle.py", "load_state_dict_from_url('http://a/b')"),
    (checks.nothing_unpickles, "bundle.py", "eval('1')"),
    (checks.nothing_unpickles, "bundle.py", "np.load('a.npy', allow_pickle=True)"),
    (checks.no_asserts, "target.py", "def f(x):\n    assert x"),
    (checks.no_bare_excepts, "target.py", "try:\n    f()\nexcept:\n    pass"),
    (checks.no_delegation, "train/learner.py", "class A:\n    def __getattr__(self, name): ..."),
    (checks.no_delegation, "data/__init__.py", "def __getattr__(name): ..."),
    (checks.no_module_state, "train/learner.py", "cache: dict = {}"),
    (checks.no_module_state, "train/learner.py", "if True:\n    seen = set()"),
    (checks.no_module_state, "train/learner.py", "def f():\n    global seen"),
    (checks.heavy_imports_wait, "model/vision.py", "import torchvision.models"),
    (checks.heavy_imports_wait, "data/rows/table.py", "try:\n    import pandas as pd\nexcept ImportError:\n    pass"),
    (checks.heavy_imports_wait, "__init__.py", "import torch"),
    (checks.heavy_imports_wait, "errors.py", "import numpy as np"),
    (checks.files_stay_short, "data/block.py", "x = 1\n" * (MOST_LINES + 1)),
]


@pytest.mark.parametrize(("rule", "path", "text"), FORBIDDEN)
def test_a_rule_finds_what_it_forbids(rule, path, text):
    findings = findings_in(rule, path, text)
    assert len(findings) == 1
    assert findings[0].startswith(path)


ALLOWED = [
    (
        checks.imports_go_down,
        "data/block.py",
        "from sightline.data.rows.table import Table\nfrom .table import Table\nfrom . import table",
    ),
    (checks.imports_go_down, "data/block.py", "from sightline.errors import DataError\nfrom ..target import Target"),
    (
        checks.imports_go_down,
        "cli/train.py",
        "from sightline import demo, __version__\nfrom sightline.train.learner import Learner",
    ),
    (checks.imports_go_down, "data/block.py", "import sightline_of_another\nimport numpy as np"),
    (checks.only_the_upper_floors_print, "train/progress.py", "print('hello')"),
    (checks.nothing_unpickles, "bundle.py", "torch.load('a.pth', weights_only=True)\nnp.load('a.npy', allow_pickle=False)"),
    (checks.nothing_unpickles, "bundle.py", "from pickle import UnpicklingError"),
    (checks.no_delegation, "__init__.py", "def __getattr__(name): ..."),
    (checks.no_module_state, "train/learner.py", "class A:\n    rows: list = []\nNAMES = {'a': 1}\ndef f():\n    found = {}"),
    (
        checks.heavy_imports_wait,
        "model/vision.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import timm\nimport torch",
    ),
    (checks.heavy_imports_wait, "data/rows/table.py", "def to_frame():\n    import pandas as pd"),
]


@pytest.mark.parametrize(("rule", "path", "text"), ALLOWED)
def test_a_rule_leaves_alone_what_it_allows(rule, path, text):
    assert findings_in(rule, path, text) == []


def test_a_method_may_leave_its_description_to_the_class_that_declared_it():
    base = Source(Path("target.py"), "class Target:\n    def loss(self):\n        '''The loss.'''")
    child = Source(
        Path("metrics.py"), "class Child(Target):\n    def loss(self): ...\n    def other(self): ...\n    def _own(self): ..."
    )
    assert checks.methods_are_described([base, child]) == ["metrics.py:3: Child.other has no docstring"]

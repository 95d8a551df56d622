"""What fuzzing found worth keeping is parsed again: benchmarks/fuzz_files.py made these files, each reaches another line."""

from __future__ import annotations

from pathlib import Path

import pytest

from parsers import PARSERS

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.filterwarnings("ignore")
def test_every_file_of_the_corpus_ends_in_our_own_error_or_well(parser, tmp_path):
    files = sorted((CORPUS / parser).iterdir())
    assert len(files) > 10
    for file in files:
        try:
            PARSERS[parser](file.read_bytes(), tmp_path)
        except Exception as error:
            raise AssertionError(f"{file}: {error!r}") from error

"""Files that released versions wrote load for ever, and give the numbers that they gave then.

`fixtures/bundle_N.safetensors` is of format version N: the beginning of timm's test_resnet for 32 pixels, three classes.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sightline.bundle import FORMAT_VERSION
from sightline.predict import Predictor

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = range(2, FORMAT_VERSION + 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_of_every_format_gives_the_numbers_that_it_gave(version):
    predictor = Predictor.load(FIXTURES / f"bundle_{version}.safetensors", "cpu", "fp32")
    expected = json.loads((FIXTURES / f"bundle_{version}.json").read_text())
    for seed, row in enumerate(expected):
        picture = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        picture[..., seed] = 128 + picture[..., seed] // 2
        prediction = predictor.predict(picture)
        assert prediction.label == row["label"]
        np.testing.assert_allclose(prediction.probabilities.numpy(), row["probabilities"], rtol=0, atol=1e-6)
    assert np.isnan(predictor.info["history"][0]["valid_loss"])


def test_every_version_has_its_file():
    assert {path.stem for path in FIXTURES.glob("bundle_*.safetensors")} == {f"bundle_{version}" for version in VERSIONS}

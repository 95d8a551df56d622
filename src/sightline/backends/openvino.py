"""OpenVINO: networks compiled for CPUs.

Measured beside PyTorch with 2 cores, AVX512-BF16, resnet18 at 128 px: 1.2 times as fast for many pictures, twice for a single
one; compiling takes a second.
"""

from __future__ import annotations

import importlib
import sys
import threading
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from sightline.data.loading.streams import Streams
from sightline.errors import MissingExtraError, ModelError
from sightline.model.folding import FOLDING_ERROR, ROUNDING_ERROR, Copy, difference, resting
from sightline.runtime import cpus

_PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}


class OpenVinoNetwork:
    """A compiled network: images `(N, C, H, W)` to float32 `(N, K)`, from any thread."""

    def __init__(self, model: nn.Module, images: Tensor, dtype: torch.dtype) -> None:
        """Compile for pictures of any number, of the size of `images`.

        Raises:
            MissingExtraError: OpenVINO is not installed.
            ModelError: It cannot compile this network.
        """
        openvino = require_openvino()
        try:
            with warnings.catch_warnings():
                # It converts what torch.jit traced, which PyTorch has deprecated; whether that is the network, `compiled` sees.
                warnings.simplefilter("ignore")
                two = images[:1].repeat(2, 1, 1, 1)
                converted = openvino.convert_model(torch.jit.trace(model, two, check_trace=False), example_input=two)
            converted.reshape([-1, *images.shape[1:]])
            self._compiled = openvino.Core().compile_model(converted, "CPU", _settings(dtype))
        except Exception as error:
            raise ModelError(
                f"OpenVINO cannot compile this network: {error}. Predict with PyTorch: leave backend='openvino' out."
            ) from error
        self._of_thread = threading.local()

    def __call__(self, images: Tensor) -> Tensor:
        request = getattr(self._of_thread, "request", None)
        if request is None:
            request = self._of_thread.request = self._compiled.create_infer_request()
        found = request.infer({0: images.contiguous().numpy()}, share_inputs=True)
        return torch.from_numpy(found[0].copy())


def compiled(model: nn.Module, images: Tensor, dtype: torch.dtype) -> Copy:
    """A copy that OpenVINO computes; see `folding.folded`.

    Raises:
        MissingExtraError: OpenVINO is not installed.
        ModelError: It cannot compile this network, or disagrees with PyTorch.
    """
    with torch.no_grad():
        network, expected = OpenVinoNetwork(model, images, dtype), model(images)
    error = difference(network(images), expected, FOLDING_ERROR if dtype == torch.float32 else ROUNDING_ERROR)
    if error is None:
        raise ModelError(
            "OpenVINO computes other outputs than PyTorch for this network. Predict with PyTorch: leave backend='openvino' out."
        )
    return Copy(network, resting(model) or model, error)


def require_openvino() -> Any:
    """The module `openvino`.

    Raises:
        MissingExtraError: It is not installed.
    """
    # As if it were not installed: it would tell its maker of each use, which no picture of a user's is to set off.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise MissingExtraError(
            "backend='openvino' needs OpenVINO, which is not installed. Install it with: pip install 'sightline[openvino]'; "
            "or leave backend out to predict with PyTorch."
        ) from error


def _settings(dtype: torch.dtype) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": _PRECISIONS[dtype],
        "NUM_STREAMS": str(Streams.planned().count),
        "INFERENCE_NUM_THREADS": cpus(),
    }

"""Networks as fastai 2.8 builds them, written here from torch alone: their names of tensors are those of its saved files.

`vision_learner(dls, resnet18)` is `Sequential(body, head)`: the body torchvision's network without its last two children, the
head pooling by maximum and average, then BatchNorm, Dropout, Linear twice. For a name of timm's the body is a module that holds
the network as `model`. (Read off `learn.model` and `learn.model.state_dict().keys()` of fastai 2.8.12.)
"""

from __future__ import annotations

import timm
import torch
from torch import nn
from torchvision.models import resnet18


class _PoolTwice(nn.Module):
    def forward(self, x):
        return torch.cat([x.amax((2, 3), keepdim=True), x.mean((2, 3), keepdim=True)], 1)


class _TimmBody(nn.Module):
    def __init__(self, name):
        super().__init__()
        self.model = timm.create_model(name, num_classes=0)

    def forward(self, x):
        return self.model.forward_features(x)


def head(nf: int, k: int, hidden: int = 512) -> nn.Sequential:
    return nn.Sequential(
        _PoolTwice(), nn.Flatten(), nn.BatchNorm1d(2 * nf), nn.Dropout(0.25), nn.Linear(2 * nf, hidden, bias=False),
        nn.ReLU(), nn.BatchNorm1d(hidden), nn.Dropout(0.5), nn.Linear(hidden, k, bias=False),
    )  # fmt: skip


def of_resnet18(k: int, hidden: int = 512, n_in: int = 3) -> nn.Sequential:
    network = resnet18(weights=None)
    if n_in != 3:
        network.conv1 = nn.Conv2d(n_in, 64, 7, 2, 3, bias=False)
    return _shaken(nn.Sequential(nn.Sequential(*list(network.children())[:-2]), head(512, k, hidden)))


def of_timm(name: str, k: int) -> nn.Sequential:
    body = _TimmBody(name)
    return _shaken(nn.Sequential(body, head(body.model.num_features, k)))


def _shaken(network: nn.Sequential) -> nn.Sequential:
    """Running statistics that are not those of a fresh network, so that a buffer that is lost is noticed."""
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()

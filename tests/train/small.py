"""A small learner for tests: a convolutional body, a head, and 16 random pictures."""

import torch
from torch import nn

from sightline.data.dataloaders import DataLoaders
from sightline.target import SingleLabel
from sightline.train.learner import Learner


def convolutional(**options):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    data = [(part, torch.arange(4) % 2) for part in torch.randn(16, 3, 8, 8).split(4)]
    dls = DataLoaders(data, data[:1], target=SingleLabel.learn(["a", "b"]))
    groups = lambda model: [list(model[0].parameters()), list(model[1].parameters())]
    return Learner(dls, nn.Sequential(body, head), splitter=groups, **options)

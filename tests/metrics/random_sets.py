"""Random outputs and labels of each kind, and what metrics make of them over batches of unequal size."""

import torch

from sightline.metrics.gathering import accumulators, check_metrics
from sightline.target import MultiLabel, Regression, SingleLabel

SIZES = (20, 7, 33)


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def whole(most, *shape, seed):
    return torch.randint(0, most, shape, generator=torch.Generator().manual_seed(seed))


SEVEN, TWO = SingleLabel.learn(list("abcdefg")), SingleLabel.learn(["no", "yes"])
SEVERAL = MultiLabel.learn([list("abcde")])
NUMBER, PAIR = Regression.learn([1.0, 2.0]), Regression.learn([[1.0, 2.0]])

CLASSES = whole(7, 60, seed=1)
LOGITS = normal(60, 7, seed=2) + 2 * torch.nn.functional.one_hot(CLASSES, 7)
YES = whole(2, 60, seed=3)
TWO_LOGITS = normal(60, 2, seed=4) + torch.nn.functional.one_hot(YES, 2)
LABELS = whole(2, 60, 5, seed=5).float()
MULTI_LOGITS = normal(60, 5, seed=6) + LABELS
VALUES = normal(60, seed=7).abs()
OUTPUTS = (VALUES + normal(60, seed=8) / 3).abs().unsqueeze(1)
WEIGHTS = whole(9, 60, seed=9).numpy() + 1.0


def over_batches(metric, target, logits, labels, sizes=SIZES):
    """The figure that is shown for a set in batches of these sizes, after the check that comes before training."""
    check_metrics([metric], target)
    (gathered,) = accumulators([metric], target)
    for part, other in zip(logits.split(sizes), labels.split(sizes), strict=True):
        gathered.add(part, other)
    return gathered.value()

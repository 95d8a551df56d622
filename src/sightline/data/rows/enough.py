"""Has the training part pictures enough for its batches? Asked once, where loaders are made."""

from __future__ import annotations

import warnings

from sightline.data.loading.loaders import Loader
from sightline.errors import OptionError, SightlineWarning, counted


def check_training(loader: Loader) -> None:
    """Refuse batches of one picture, which have no batch statistics, and say which pictures batches do not reach.

    Args:
        loader: Of the training part.

    Raises:
        OptionError: Every training batch would be a single picture.

    Warns:
        SightlineWarning: The part is smaller than one batch, or its last batch would be a single picture and is left out.
    """
    n, bs = loader.n_wanted, loader.bs
    if bs == 1 or n == 1:
        what, mend = f"bs={bs}", "use bs=2 or more"
        if bs > 1:
            what, mend = "The training part has 1 picture", "put at least one more into it"
        raise OptionError(
            f"{what}: every training batch would be one picture. Expected at least two in a batch, because the batch "
            f"statistics that a network learns with (BatchNorm) need two pictures: {mend}."
        )
    if n < bs:
        _say(f"The training part has {counted(n, 'picture')}, fewer than bs={bs}: an epoch is one smaller batch.")
    elif not loader.drop_last and loader.n_used < n:
        which = "another one each epoch" if loader.options.shuffle else f"{loader.part.samples.name(int(loader.rows[-1]))!r}"
        _say(
            f"{counted(n, 'training picture')} in batches of {bs} leave one over ({which}), which is left out of the epoch: "
            "batch statistics need two pictures. Choose another bs to use all of them."
        )


def _say(message: str) -> None:
    warnings.warn(message, SightlineWarning, stacklevel=4)

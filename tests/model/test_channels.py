"""Input channels: fastai's rule for the first kernel, and a bias that is copied."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.errors import ModelError
from sightline.model.channels import adapt_kernel, check_n_in, replace_first_conv


def test_one_channel_sums_two_keep_half_as_much_again_and_more_add_zeros():
    weight = torch.arange(2 * 3 * 2 * 2, dtype=torch.float32).reshape(2, 3, 2, 2)
    assert torch.equal(adapt_kernel(weight, 1)[:, 0], weight[:, 0] + weight[:, 1] + weight[:, 2])
    assert torch.equal(adapt_kernel(weight, 2), weight[:, :2] * 1.5)
    five = adapt_kernel(weight, 5)
    assert torch.equal(five[:, :3], weight)
    assert torch.equal(five[:, 3:], torch.zeros(2, 2, 2, 2))


@pytest.mark.parametrize("n_in", [1, 2, 4])
def test_the_bias_is_copied_and_everything_else_about_the_layer_kept(n_in):
    old = nn.Conv2d(3, 6, (3, 5), stride=2, padding=1, dilation=2, padding_mode="reflect")
    network = nn.Sequential(nn.Sequential(old, nn.ReLU()))
    replace_first_conv(network, n_in, keep_weights=True, arch="toy")
    new = network[0][0]
    assert new.in_channels == n_in
    assert torch.equal(new.bias, old.bias)
    kept = ("out_channels", "kernel_size", "stride", "padding", "dilation", "padding_mode")
    assert [getattr(new, name) for name in kept] == [getattr(old, name) for name in kept]


def test_a_grey_picture_gives_what_the_same_picture_in_three_equal_channels_gave():
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    grey = torch.randn(2, 1, 8, 8)
    before = network(grey.expand(-1, 3, -1, -1))
    replace_first_conv(network, 1, keep_weights=True, arch="toy")
    torch.testing.assert_close(network(grey), before)


@pytest.mark.parametrize("first", [nn.Linear(3, 4), nn.Conv2d(4, 4, 1), nn.Conv2d(3, 3, 1, groups=3)])
def test_another_first_layer_is_refused(first):
    with pytest.raises(ModelError, match=r"n_in=1 needs a network that begins with a Conv2d over 3 channels, but toy begins"):
        replace_first_conv(nn.Sequential(first), 1, keep_weights=True, arch="toy")


def test_a_network_without_parameters_is_refused():
    with pytest.raises(ModelError, match="no layer with parameters"):
        replace_first_conv(nn.Sequential(nn.ReLU()), 1, keep_weights=False, arch="toy")


@pytest.mark.parametrize("n_in", [0, -1, 2.5, True, "3", 10**9])
def test_a_number_of_channels_that_is_none_is_refused(n_in):
    with pytest.raises(ModelError, match="is not a number of channels from 1"):
        check_n_in(n_in)

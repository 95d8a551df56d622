"""Precision and memory format: what is computed in, on which device, and what happens where it cannot be."""

import pytest
import torch
from torch import nn

from sightline.data.dataloaders import DataLoaders
from sightline.errors import OptionError
from sightline.runtime import Runtime, has_native_bf16
from sightline.target import Regression, SingleLabel
from sightline.train.callbacks.gradients import GradientClip
from sightline.train.callbacks.precision import ChannelsLast, MixedPrecision
from sightline.train.events import Callback
from sightline.train.learner import Learner

CPU = torch.device("cpu")


def learner(**options):
    torch.manual_seed(0)
    x = torch.randn(16, 3)
    data = [(part, part[:, :1] * 2) for part in x.split(4)]
    dls = DataLoaders(data, data[:1], target=Regression.learn([0.0, 1.0]))
    return Learner(dls, nn.Linear(3, 1), **options)


def convolutional(**options):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
    )
    data = [(part, torch.arange(4) % 2) for part in torch.randn(16, 3, 8, 8).split(4)]
    return Learner(DataLoaders(data, data[:1], target=SingleLabel.learn(["a", "b"])), model, **options)


class Sees(Callback):
    """Notes what the network computes in."""

    def __init__(self):
        self.dtypes, self.formats, self.precisions = set(), set(), set()

    def before_fit(self):
        self.hook = self.learn.model[-1].register_forward_hook(self.note)

    def note(self, module, inputs, output):
        self.dtypes.add(output.dtype)

    def after_pred(self):
        self.precisions.add(self.learn.runtime.precision)

    def after_fit(self):
        self.hook.remove()


def test_fp16_without_a_cuda_gpu_is_the_nearest_there_is_and_says_so_in_one_line(capsys):
    learn = learner().to_fp16()
    assert learn.runtime.precision == ("bf16" if has_native_bf16(CPU) else "fp32")
    assert "fp16 needs a CUDA GPU" in learn.runtime.precision_reason
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert learn.runtime.precision_reason in said
    with learn.no_logging():
        learn.fit(1)
    assert learn.to_fp32().runtime.precision == "fp32"


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16"), (False, "fp32")])
def test_what_stands_in_for_fp16_depends_on_what_the_device_has(native, expected, monkeypatch):
    monkeypatch.setattr("sightline.runtime.plan.has_native_bf16", lambda device: native)
    for device in ("cpu", "mps"):
        plan = Runtime(torch.device(device)).with_precision("fp16")
        assert plan.precision == expected
        assert "native" in plan.precision_reason


def test_a_gpu_without_bf16_is_not_asked_for_it(monkeypatch):
    monkeypatch.setattr("sightline.runtime.plan.has_native_bf16", lambda device: False)
    gpu = Runtime(torch.device("cuda"))
    assert gpu.with_precision("bf16").precision == "fp32"
    assert gpu.with_precision("fp16").precision == "fp16"


def test_mixed_precision_as_a_callback_lasts_for_its_fit():
    learn, sees = convolutional(), Sees()
    with learn.no_logging():
        learn.fit(1, cbs=[MixedPrecision("bf16"), sees])
    assert sees.dtypes == {torch.bfloat16}
    assert sees.precisions == {"bf16"}
    assert learn.runtime.precision == "fp32"
    with pytest.raises(OptionError, match="amp_mode='fp8'"):
        MixedPrecision("fp8")


def in_fp16(learn, **scaler):
    """A learner that computes in fp16 although it is on a CPU, as it would on a GPU."""
    learn.runtime = Runtime(CPU, "fp16")
    return learn.add_cb(MixedPrecision(**scaler))


def test_scaled_losses_train_as_unscaled_ones():
    plain, scaled = learner(), in_fp16(learner(), init_scale=1024.0)
    for learn in (plain, scaled):
        with learn.no_logging():
            learn.fit(3, 0.05)
    assert scaled.model.weight.detach() == pytest.approx(plain.model.weight.detach(), abs=1e-3)
    losses = [[row["loss"] for row in learn.recorder.record.of("step")] for learn in (plain, scaled)]
    assert losses[1] == pytest.approx(losses[0], rel=5e-3)
    assert scaled.scaler is None


def test_a_step_that_overflows_is_left_out_and_the_scale_goes_down():
    class Overflows(Callback):
        order = 5
        weights = ()

        def before_step(self):
            if self.learn.train_iter == 1:
                self.weights = [p.clone() for p in self.learn.model.parameters()]
                self.learn.model.weight.grad[0, 0] = float("inf")

        def after_batch(self):
            if self.learn.training and self.learn.train_iter == 2:
                assert all(torch.equal(a, b) for a, b in zip(self.weights, self.learn.model.parameters(), strict=True))

    learn = in_fp16(learner(cbs=Overflows()), init_scale=1024.0)
    with learn.no_logging():
        learn.fit(1)
    assert learn.mixed_precision.scaling["scale"] == 512.0
    assert all(torch.isfinite(p).all() for p in learn.model.parameters())


def test_callbacks_that_clip_see_gradients_as_they_are():
    class Norms(Callback):
        order = 12

        def __init__(self):
            self.norms = []

        def before_step(self):
            self.norms.append(torch.cat([p.grad.flatten() for p in self.learn.model.parameters()]).norm().item())

    learn = in_fp16(learner(), init_scale=2.0**14)
    norms = Norms()
    with learn.no_logging():
        learn.fit(2, cbs=[GradientClip(0.5), norms])
    assert max(norms.norms) == pytest.approx(0.5, rel=1e-3)


def test_the_scale_goes_on_where_a_run_stopped():
    learn = in_fp16(learner(), init_scale=64.0)
    with learn.no_logging():
        learn.fit(1)
    state = learn.mixed_precision.state_dict()
    again = MixedPrecision()
    again.load_state_dict(state)
    other = learner()
    other.runtime = Runtime(CPU, "fp16")
    with other.no_logging():
        other.fit(1, cbs=again)
    assert again.scaling["scale"] == 64.0


def test_two_callbacks_of_mixed_precision_scale_once():
    learn = in_fp16(learner(), init_scale=1024.0)
    with learn.no_logging():
        learn.fit(1, cbs=MixedPrecision(init_scale=4.0))
    assert learn.runtime.precision == "fp16"
    assert learn.recorder.losses[-1] < 100


def test_channels_last_gives_the_same_numbers():
    plain, last = convolutional(), convolutional().to_channelslast(use_amp=False)
    for learn in (plain, last):
        with learn.no_logging():
            learn.fit_one_cycle(2, 0.01)
    assert last.model[0].weight.is_contiguous(memory_format=torch.channels_last)
    losses = [[row["loss"] for row in learn.recorder.record.of("step")] for learn in (plain, last)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert last.get_preds()[0].numpy() == pytest.approx(plain.get_preds()[0].numpy(), rel=1e-4)


def test_channels_last_can_be_saved_loaded_and_undone(tmp_path):
    learn = convolutional(path=tmp_path).to_channelslast(use_amp=False)
    with learn.no_logging():
        learn.fit(1)
    learn.save("last")
    weight = learn.model[0].weight.detach().clone()
    assert torch.equal(convolutional(path=tmp_path).load("last").model[0].weight, weight)
    learn.to_contiguous(to_fp32=True)
    assert learn.model[0].weight.is_contiguous()
    assert (learn.runtime.channels_last, learn.runtime.precision) == (False, "fp32")


def test_channels_last_with_mixed_precision_is_what_the_device_has(capsys):
    learn = convolutional().to_channelslast()
    assert learn.runtime.channels_last
    assert learn.runtime.precision == ("bf16" if has_native_bf16(CPU) else "fp32")
    assert "fp16 needs" in capsys.readouterr().out


def test_channels_last_as_a_callback_lasts_for_its_fit():
    learn = convolutional()
    with learn.no_logging():
        learn.fit(1, cbs=ChannelsLast)
    assert not learn.runtime.channels_last
    assert learn.model[0].weight.is_contiguous()

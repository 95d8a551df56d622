from fastai.vision.all import *

# Networks put together from fastai's layers.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(32, method="squish"), bs=8, shuffle=False, num_workers=0)


def conv(ni, nf, stride=2):
    return ConvLayer(ni, nf, stride=stride)


net = nn.Sequential(
    conv(3, 8), ResBlock(1, 8, 8), ResBlock(1, 8, 16, stride=2, reduction=2), AdaptiveConcatPool2d(), Flatten(),
    LinBnDrop(32, 16, p=0.25, act=nn.ReLU(inplace=True)), LinBnDrop(16, dls.c),
)  # fmt: skip
report(keys=list(net.state_dict()), layers=len(flatten_model(net)), features=num_features_model(net[:3]))
report(sizes=[list(size) for size in model_sizes(net[:3], (32, 32))], count=total_params(net), pools=has_pool_type(net))
learn = Learner(dls, net, loss_func=CrossEntropyLossFlat(), metrics=[accuracy, error_rate], opt_func=ranger)
learn.fit_flat_cos(1, 1e-3)
fill_weights(net)
report(result=learn.validate(), preds=learn.get_preds()[0])

simple = Learner(dls, SimpleCNN([3, 8, 16, dls.c], strides=[1, 2, 2]), opt_func=SGD, metrics=accuracy)
fill_weights(simple.model)
simple.fit(1, 1e-3)
report(simple=simple.recorder.values[-1])


class Net(Module):
    def __init__(self, n_out):
        self.enc = nn.Sequential(
            Lambda(lambda x: x * 2),
            ConvLayer(3, 4, act_cls=Mish, norm_type=NormType.Instance),
            SequentialEx(ConvLayer(4, 4), MergeLayer()),
            nn.AdaptiveAvgPool2d(2),
            View(-1, 16),
        )
        self.head = nn.Sequential(nn.Linear(16, n_out), SigmoidRange(-3, 3))
        self.scale = nn.Parameter(tensor(1.0).view(1))

    def forward(self, x):
        return self.head(self.enc(x)) * self.scale


net = Net(dls.c)
apply_init(net)
report(zero=[float(m.bias.abs().sum()) for m in net.modules() if isinstance(m, nn.Linear)])
learn = Learner(
    dls, net, splitter=lambda m: [params(m.enc), params(m.head) + [m.scale]], loss_func=nn.CrossEntropyLoss(), lr=1e-4
)
fill_weights(net)
learn.freeze()
report(trains=[requires_grad(net.enc), len(trainable_params(net))])
learn.fit_one_cycle(1, 1e-4)
report(rows=learn.recorder.values)

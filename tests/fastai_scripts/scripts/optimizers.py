from fastai.vision.all import *

# Every optimizer takes three steps from the same weights.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(32, method="squish"), bs=8, shuffle=False, num_workers=0)


def small(opt_func, lr):
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    fill_weights(net)
    learn = Learner(dls, net, loss_func=CrossEntropyLossFlat(), opt_func=opt_func, metrics=accuracy)
    learn.fit(2, lr)
    return [row[:2] for row in learn.recorder.values]


report(
    adam=small(Adam, 1e-2),
    sgd=small(SGD, 1e-1),
    momentum=small(partial(SGD, mom=0.9, wd=0.01), 1e-1),
    rms=small(partial(RMSProp, mom=0.9), 1e-3),
)
report(
    radam=small(RAdam, 1e-2), ranger=small(ranger, 1e-2), qh=small(QHAdam, 1e-2), lamb=small(Lamb, 1e-2), larc=small(Larc, 1e-2)
)
report(
    wrapped=small(partial(OptimWrapper, opt=torch.optim.AdamW, weight_decay=0.0), 1e-2),
    torch_sgd=small(partial(OptimWrapper, opt=torch.optim.SGD, momentum=0.9), 1e-1),
)
report(eps=small(partial(Adam, eps=1e-8, sqr_mom=0.999), 1e-2))

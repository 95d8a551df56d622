from fastai.vision.all import *

# A network of one's own, and a plain Learner.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(32, method="squish"), bs=8, shuffle=False, num_workers=0)


def conv(ni, nf):
    return nn.Sequential(nn.Conv2d(ni, nf, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(nf), nn.ReLU())


net = nn.Sequential(conv(3, 8), conv(8, 16), conv(16, 16), nn.AdaptiveAvgPool2d(1), Flatten(), nn.Linear(16, dls.c))
fill_weights(net)
learn = Learner(dls, net, loss_func=F.cross_entropy, metrics=accuracy)
report(before=learn.validate())
learn.fit_one_cycle(3, 1e-2)
report(rows=[row[:2] for row in learn.recorder.values], shapes=[list(p.shape) for p in learn.model.parameters()])
report(values=learn.get_preds(act=partial(F.softmax, dim=1))[0])


def tiny(pretrained=False, **kwargs):
    return nn.Sequential(conv(3, 8), conv(8, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


learn = vision_learner(dls, tiny, pretrained=False, ps=0.0, metrics=accuracy)
fill_weights(learn.model)
learn.fit(1, 1e-3)
report(grafted=learn.recorder.values[-1][:2])

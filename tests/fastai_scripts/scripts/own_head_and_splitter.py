from fastai.vision.all import *

# A head of one's own, a body cut by hand, parameter groups of one's own.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(32, method="squish"), bs=12, shuffle=False, num_workers=0)
head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 16), nn.ReLU(), nn.Linear(16, dls.c))
learn = vision_learner(dls, resnet18, pretrained=False, custom_head=head, metrics=accuracy)
fill_weights(learn.model)
report(output=learn.model(dls.valid.one_batch()[0]), before=learn.validate(), parts=len(learn.model))


def three_groups(model):
    return [params(model[0][:6]), params(model[0][6:]), params(model[1])]


learn = vision_learner(dls, resnet18, pretrained=False, splitter=three_groups, lr=1e-4, ps=0.0)
fill_weights(learn.model)
learn.create_opt()
report(groups=[len(g) for g in learn.opt.param_lists])
learn.freeze()
learn.fit_one_cycle(1)
report(row=learn.recorder.values[-1])

body = create_body(resnet18(weights=None), pretrained=False)
own = nn.Sequential(body, create_head(512, dls.c, ps=0.0, lin_ftrs=[32]))
fill_weights(own)
learn = Learner(
    dls,
    own,
    loss_func=CrossEntropyLossFlat(),
    metrics=[accuracy],
    opt_func=SGD,
    lr=1e-4,
    splitter=lambda m: [params(m[0]), params(m[1])],
)
learn.fit(1)
report(last=learn.recorder.values[-1])
report(head_layers=[type(l).__name__ for l in create_head(64, 5, lin_ftrs=[], concat_pool=False)])

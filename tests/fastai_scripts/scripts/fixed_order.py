from fastai.vision.all import *

# Nothing random: the same weights, pictures and order must give the same numbers.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(
    path,
    item_tfms=Resize(48, method="squish"),
    batch_tfms=Normalize.from_stats(*imagenet_stats),
    bs=12,
    shuffle=False,
    num_workers=0,
)
report(batch=dls.train.one_batch()[0], labels=dls.train.one_batch()[1])
learn = vision_learner(dls, resnet18, pretrained=False, ps=0.0, metrics=[error_rate, accuracy])
fill_weights(learn.model)
report(before=learn.validate())
learn.fine_tune(1, base_lr=2e-3)
report(
    rows=[row[:2] for row in learn.recorder.values], lrs=learn.recorder.lrs, losses=[float(l) for l in learn.recorder.losses]
)
report(hypers=[(round(h["lr"], 9), round(h["mom"], 6)) for h in learn.opt.hypers], groups=len(learn.opt.param_lists))
preds, targs = learn.get_preds()
report(targs=targs, preds=preds)

from fastai.vision.all import *

# Freeze, train the head, unfreeze, train all with rates that grow with depth.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(32, method="squish"), bs=24, shuffle=False, num_workers=0)
learn = vision_learner(dls, resnet18, pretrained=False, ps=[0.0, 0.0], lin_ftrs=[32], metrics=error_rate, wd=0.1)
fill_weights(learn.model)
learn.freeze()
report(trainable=sum(p.requires_grad for p in learn.model.parameters()), total=len(list(learn.model.parameters())))
learn.fit_one_cycle(1, 3e-3)
learn.unfreeze()
learn.fit_one_cycle(2, lr_max=slice(1e-6, 1e-4), pct_start=0.3, div=10.0)
report(
    rates=[h["lr"] for h in learn.opt.hypers],
    decay=[h["wd"] for h in learn.opt.hypers],
    rows=[row[:2] for row in learn.recorder.values],
)
learn.freeze_to(-2)
report(two=sum(p.requires_grad for p in learn.model.parameters()))
learn.fit_one_cycle(1, slice(1e-4), moms=(0.9, 0.8, 0.9))
report(middle=learn.recorder.values[-1][:2])
learn.recorder.plot_sched()
learn.recorder.plot_loss()

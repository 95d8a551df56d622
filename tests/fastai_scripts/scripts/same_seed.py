from fastai.vision.all import *

# One seed and a fixed order: first weights and dropout must come out alike, without any weight being set by hand.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(32, method="squish"), bs=12, shuffle=False, num_workers=0)
set_seed(42)
learn = vision_learner(dls, resnet18, pretrained=False, opt_func=SGD, metrics=error_rate)
report(head=[p.abs().sum() for p in learn.model[1].parameters()], body=[p.abs().sum() for p in learn.model[0].parameters()][:6])
learn.fit(2, 1e-4)
report(losses=[float(l) for l in learn.recorder.losses], rows=[row[:3] for row in learn.recorder.values])
set_seed(7)
timm_learn = vision_learner(dls, "resnet10t", pretrained=False, lin_ftrs=[32], ps=[0.1, 0.6], opt_func=SGD)
timm_learn.fit_one_cycle(1, 1e-4)
report(timm_head=[p.abs().sum() for p in timm_learn.model[1].parameters()])
report(timm_losses=[float(l) for l in timm_learn.recorder.losses])

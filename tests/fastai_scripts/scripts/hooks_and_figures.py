from fastai.vision.all import *

# Activations, dropout in validation, a fit's figures, half precision.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(40, method="squish"), bs=12, shuffle=False, num_workers=0)
learn = vision_learner(dls, resnet18, pretrained=False, ps=0.0, metrics=accuracy)
fill_weights(learn.model)
learn.fit(2, 1e-4)
report(
    losses=[float(l) for l in learn.recorder.losses],
    lrs=learn.recorder.lrs,
    names=learn.recorder.metric_names,
    values=[v[:2] for v in learn.recorder.values],
)
report(iters=learn.recorder.iters, smooth=float(learn.smooth_loss), final=learn.final_record[:2])
stats = vision_learner(dls, resnet18, pretrained=False, cbs=ActivationStats(with_hist=False))
stats.fit(1, 1e-4)
dropped, _ = learn.get_preds(cbs=[MCDropoutCallback()])
loosely(dropped=dropped)
half = vision_learner(dls, resnet18, pretrained=False, metrics=accuracy).to_bf16()
half.fit(1, 1e-3)
loosely(half=half.recorder.values[-1][:3], half_preds=half.to_fp32().get_preds())
x, y = dls.one_batch()
with torch.no_grad():
    report(features=learn.model[0](x), head=learn.model.eval()(x))
report(params=sum(p.numel() for p in learn.model.parameters()), device=str(dls.device), default=default_device() is not None)

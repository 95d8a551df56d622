from fastai.vision.all import *

# Other shapes of the learning rate.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(48, method="squish"), bs=8, shuffle=False, num_workers=0)
learn = vision_learner(dls, "test_resnet", pretrained=False, ps=0.0, metrics=accuracy)
fill_weights(learn.model)
learn.fit_flat_cos(2, 1e-3, pct_start=0.5)
report(flat=learn.recorder.lrs, flat_rows=[r[:2] for r in learn.recorder.values])
learn.fit_sgdr(2, 1, lr_max=1e-3)
report(restarts=learn.recorder.lrs)
p = torch.linspace(0.0, 1, 5)
curves = dict(
    linear=SchedLin(2, 0), cosine=SchedCos(2, 0), flat=SchedNo(2, 0), exponential=SchedExp(2, 0.5), cubic=SchedPoly(2, 0, 3)
)
report(**{name: [float(f(float(o))) for o in p] for name, f in curves.items()})
both = combine_scheds([0.3, 0.7], [SchedCos(0.3, 0.6), SchedCos(0.6, 0.2)])
report(both=[float(both(o)) for o in (0.0, 0.15, 0.3, 0.6, 1.0)], cos=float(combined_cos(0.25, 0.1, 1.0, 0.0)(0.5)))
learn.fit(1, cbs=ParamScheduler({"lr": combine_scheds([0.5, 0.5], [SchedLin(1e-5, 1e-4), SchedLin(1e-4, 1e-6)])}))
report(scheduled=learn.recorder.lrs)

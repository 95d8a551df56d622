from fastai.vision.all import *

# Small batches, large steps; clipped gradients; frozen norm layers.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(48, method="squish"), bs=12, shuffle=False, num_workers=0)
learn = vision_learner(dls, "test_resnet", pretrained=False, ps=0.0, metrics=accuracy)
fill_weights(learn.model)
learn.fit_one_cycle(2, 1e-3, cbs=GradientAccumulation(n_acc=24))
report(accumulated=[row[:2] for row in learn.recorder.values])
fill_weights(learn.model)
learn.fit(1, 1e-3, cbs=[GradientClip(max_norm=0.1)], reset_opt=True)
report(clipped=learn.recorder.values[-1][:2])
fill_weights(learn.model)
learn.freeze()
learn.fit(1, 1e-3, cbs=BnFreeze, reset_opt=True)
report(still=learn.recorder.values[-1][:2])

from fastai.vision.all import *

# Look for a rate; the learner is as before afterwards.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(32, method="squish"), bs=12, shuffle=False, num_workers=0)
learn = vision_learner(dls, "test_resnet", pretrained=False, ps=0.0, metrics=accuracy)
fill_weights(learn.model)
before = learn.validate()
lrs = learn.lr_find(start_lr=1e-6, end_lr=1, num_it=40, stop_div=False, suggest_funcs=(minimum, steep, valley, slide))
report(fields=list(lrs._fields), steps=len(learn.recorder.lrs), ends=[learn.recorder.lrs[0], learn.recorder.lrs[-1]])
report(valley=float(lrs.valley), minimum=float(lrs.minimum), steep=float(lrs.steep))
loosely(slide=lrs.slide)
report(before=before, after=learn.validate())
one = learn.lr_find(num_it=30, show_plot=False)
loosely(one=one)
learn.fit_one_cycle(1, lr_max=one.valley)

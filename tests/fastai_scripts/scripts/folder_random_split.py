from fastai.vision.all import *

# One folder a class, part of the pictures set aside at random.
path = Path(sys.argv[1]) / "folders" / "train"
dls = ImageDataLoaders.from_folder(path, valid_pct=0.25, seed=42, item_tfms=Resize(48), bs=8, num_workers=0)
report(classes=list(dls.vocab), c=dls.c, sizes=[len(dls.train_ds), len(dls.valid_ds)], batches=[len(dls.train), len(dls.valid)])
xb, yb = dls.one_batch()
loosely(xb=xb, yb=yb)
dls.show_batch(max_n=4, figsize=(4, 4))

learn = vision_learner(dls, resnet18, pretrained=False, metrics=error_rate)
learn.fine_tune(1)
loosely(row=learn.recorder.values[-1], validation=learn.validate())
report(names=learn.recorder.metric_names)

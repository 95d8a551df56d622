from fastai.vision.all import *

# The label is the part of the file name before the number.
path = Path(sys.argv[1]) / "names"
fnames = get_image_files(path)
report(count=len(fnames))
dls = ImageDataLoaders.from_name_re(
    path, fnames, r"^(.*)_\d+.png$", valid_pct=0.2, seed=7, item_tfms=Resize(48), bs=9, num_workers=0
)
report(classes=list(dls.vocab), sizes=(len(dls.train_ds), len(dls.valid_ds)))
learn = vision_learner(dls, resnet18, pretrained=False, metrics=error_rate)
learn.fit_one_cycle(1, 1e-3)

name, number, probs = learn.predict(path / "leaf_03.png")
loosely(number=number, probs=probs)
report(
    sums=round(float(probs.sum()), 4),
    known=name in dls.vocab,
    agrees=dls.vocab[number] == name,
    best=float(probs[number]) == float(probs.max()),
)

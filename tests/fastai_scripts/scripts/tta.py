from fastai.vision.all import *

# Predictions averaged over augmented copies.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(32), batch_tfms=aug_transforms(), bs=12, num_workers=0)
learn = vision_learner(dls, "test_resnet", pretrained=False, metrics=accuracy)
learn.fit_one_cycle(2, 3e-3)
preds, targs = learn.tta()
loosely(preds=preds, targs=targs, right=accuracy(preds, targs))
report(sums=preds.sum(1))
preds, targs = learn.tta(n=2, beta=0)
loosely(two=preds)
preds, targs = learn.tta(use_max=True)
loosely(most=preds)
(augmented, plain), targs = learn.tta(n=2, beta=None)
loosely(augmented=augmented, plainly=plain, targets=targs)

# With nothing random in the pictures, tta is what get_preds gives.
still = ImageDataLoaders.from_folder(path, item_tfms=Resize(32, method="squish"), bs=12, shuffle=False, num_workers=0)
learn = vision_learner(still, "test_resnet", pretrained=False)
fill_weights(learn.model)
report(tta=learn.tta(n=3)[0], plain=learn.get_preds()[0])
test = still.test_dl(get_image_files(path / "valid")[:5])
report(on_test=learn.tta(dl=test)[0])

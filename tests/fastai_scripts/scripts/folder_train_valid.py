from fastai.vision.all import *

# The split is already there: train/ and valid/. Random crops for items, flips and colours for batches.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(
    path,
    train="train",
    valid="valid",
    item_tfms=RandomResizedCrop(40, min_scale=0.5),
    batch_tfms=aug_transforms(mult=1.0, do_flip=True, max_rotate=10.0, max_warp=0.1),
    bs=12,
    num_workers=0,
)
report(classes=[c for c in dls.vocab], train=len(dls.train_ds), valid=len(dls.valid_ds))
learn = vision_learner(dls, resnet18, pretrained=False, metrics=[error_rate, accuracy])
learn.fine_tune(3, base_lr=5e-3, freeze_epochs=1)
report(epochs=len(learn.recorder.values))
about(train_loss=learn.recorder.values[-1][0])
loss, error, right = learn.validate()
report(adds_up=abs(error + right - 1) < 1e-6, names=learn.recorder.metric_names)
loosely(error=error)

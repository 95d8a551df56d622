from fastai.vision.all import *

# Large crops on the CPU, all augmentation in one go on the batch.
path = Path(sys.argv[1]) / "names"


def get_dls(size, batch):
    return DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_items=get_image_files,
        splitter=RandomSplitter(valid_pct=0.25, seed=42),
        get_y=RegexLabeller(pat=r"/([^/]+)_\d+.png$"),
        item_tfms=Resize(72),
        batch_tfms=[*aug_transforms(size=size, min_scale=0.75), Normalize.from_stats(*imagenet_stats)],
    ).dataloaders(path, bs=batch, num_workers=0)


dls = get_dls(40, 9)
xb, yb = dls.one_batch()
report(x=list(xb.shape), classes=list(dls.vocab), valid=list(dls.valid.one_batch()[0].shape), normal=bool(xb.min() < 0))
dls.show_batch(nrows=1, ncols=3)

# Progressive resizing: the same learner goes on with larger pictures.
learn = vision_learner(dls, "test_resnet", pretrained=False, metrics=error_rate)
learn.fit_one_cycle(2, 3e-3)
learn.dls = get_dls(56, 6)
report(larger=list(learn.dls.one_batch()[0].shape))
learn.fine_tune(2, 1e-3)
about(error=learn.validate()[1])

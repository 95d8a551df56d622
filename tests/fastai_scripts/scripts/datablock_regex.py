from fastai.vision.all import *

# A regular expression on the name; given validation rows; presized, then augmented.
path = Path(sys.argv[1]) / "names"
block = DataBlock(
    blocks=(ImageBlock, CategoryBlock),
    get_items=get_image_files,
    splitter=IndexSplitter([0, 1, 2, 12, 13, 24, 25]),
    get_y=using_attr(RegexLabeller(r"(.+)_\d+.png$"), "name"),
    item_tfms=Resize(64),
    batch_tfms=aug_transforms(size=32, min_scale=0.75),
)
dls = block.dataloaders(path, bs=8, num_workers=0)
report(vocab=list(dls.vocab), sizes=[len(dls.train_ds), len(dls.valid_ds)])
xb, yb = dls.one_batch()
report(train=list(xb.shape), valid=list(dls.valid.one_batch()[0].shape), device=str(xb.device), dtype=str(xb.dtype))
learn = vision_learner(dls, resnet18, pretrained=False, metrics=accuracy).to_fp32()
learn.fit_one_cycle(1, 3e-3)
loosely(preds=learn.get_preds())

from fastai.vision.all import *

# The pieces of a DataBlock, one by one.
path = Path(sys.argv[1]) / "folders"
fruit = DataBlock(
    blocks=(ImageBlock, CategoryBlock),
    get_items=get_image_files,
    splitter=GrandparentSplitter(train_name="train", valid_name="valid"),
    get_y=parent_label,
    item_tfms=Resize(48),
)
dsets = fruit.datasets(path)
report(parts=[len(dsets.train), len(dsets.valid)], vocab=list(dsets.vocab))
picture, label = dsets.train[0]
report(label=int(label))

dls = fruit.dataloaders(path, bs=8, num_workers=0)
report(batches=[len(dls.train), len(dls.valid)], c=dls.c, bs=dls.bs)
xb, yb = first(dls.valid)
report(shape=xb.shape, labels=yb)

smaller = fruit.new(item_tfms=RandomResizedCrop(32, min_scale=0.3), batch_tfms=aug_transforms(mult=2))
dls = smaller.dataloaders(path, bs=8, num_workers=0)
report(new_shape=list(dls.one_batch()[0].shape))
dls.train.show_batch(max_n=4, nrows=1, unique=True)
fruit.summary(path)

from fastai.vision.all import *

# Rare rows more often.
path = Path(sys.argv[1]) / "folders"
block = DataBlock(
    (ImageBlock, CategoryBlock),
    get_items=get_image_files,
    splitter=GrandparentSplitter(),
    get_y=parent_label,
    item_tfms=Resize(32),
)
files = get_image_files(path / "train")
wgts = [1.0 if f.parent.name == "leaf" else 0.0 for f in get_image_files(path)]
dls = block.weighted_dataloaders(path, wgts, bs=8, num_workers=0)
xb, yb = dls.one_batch()
report(all_leaves=bool((yb == 1).all()), n=len(dls.train_ds), batches=len(dls.train))
dsets = block.datasets(path)
part = dsets.partial_dataloaders(partial_n=8, bs=4, num_workers=0, after_item=[Resize(32), ToTensor()])
report(part_batches=len(part.train), shape=list(part.one_batch()[1].shape))

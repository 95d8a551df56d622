from fastai.vision.all import *

# Where is the bright spot? A point a picture, scaled to -1..1.
path = Path(sys.argv[1]) / "points"


def centre(file):
    x, y = file.with_suffix(".txt").read_text().split()
    return tensor([float(x), float(y)])


spots = DataBlock(
    blocks=(ImageBlock, PointBlock),
    get_items=get_image_files,
    get_y=centre,
    splitter=FuncSplitter(lambda o: int(o.stem) % 4 == 0),
    item_tfms=Resize((48, 56), method="squish"),
)
dls = spots.dataloaders(path, bs=6, num_workers=0)
xb, yb = dls.valid.one_batch()
report(x=list(xb.shape), y=yb)
moved = spots.new(batch_tfms=aug_transforms(size=(48, 56), max_warp=0.0)).dataloaders(path, bs=6, num_workers=0)
loosely(moved=moved.one_batch()[1])
learn = vision_learner(dls, "test_resnet", pretrained=False, y_range=(-1, 1), metrics=mse)
learn.fine_tune(2, 5e-3)
preds, targs = learn.get_preds()
loosely(preds=preds, targs=targs)
report(inside=bool((preds.abs() <= 1).all()))
learn.show_results(max_n=3)

from fastai.vision.all import *

# Cross-validation by hand.
from sklearn.model_selection import StratifiedKFold

path = Path(sys.argv[1]) / "names"
fns = get_image_files(path).sorted()
labels = [f.name.split("_")[0] for f in fns]
scores, rows = [], []
for train, valid in StratifiedKFold(n_splits=3, shuffle=True, random_state=0).split(fns, labels):
    block = DataBlock(
        (ImageBlock, CategoryBlock), splitter=IndexSplitter(valid), get_y=lambda f: f.name.split("_")[0], item_tfms=Resize(32)
    )
    dls = block.dataloaders(fns, bs=8, num_workers=0)
    learn = vision_learner(dls, "test_resnet", pretrained=False, metrics=accuracy)
    with learn.no_bar(), learn.no_logging():
        learn.fine_tune(1, 1e-2)
    preds, targs = learn.get_preds()
    scores.append(float(accuracy(preds, targs)))
    rows.append([len(dls.train_ds), len(dls.valid_ds)])
report(rows=rows, folds=len(scores))
loosely(mean=float(np.mean(scores)))

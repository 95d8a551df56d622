from fastai.vision.all import *

# Several labels a picture, through a DataBlock whose items are the rows of a table.
path = Path(sys.argv[1]) / "table"
df = pd.read_csv(path / "labels.csv")


def get_x(r):
    return path / "images" / r["fname"]


def get_y(r):
    return r["labels"].split(" ")


def splitter(df):
    train = df.index[~df["is_valid"]].tolist()
    valid = df.index[df["is_valid"]].tolist()
    return train, valid


dblock = DataBlock(
    blocks=(ImageBlock, MultiCategoryBlock), splitter=splitter, get_x=get_x, get_y=get_y, item_tfms=Resize(48, method="squish")
)
dls = dblock.dataloaders(df, bs=8, num_workers=0)
report(vocab=list(dls.vocab), sizes=[len(dls.train_ds), len(dls.valid_ds)])
xb, yb = dls.valid.one_batch()
report(targets=yb)
names = [dls.vocab[i] for i, on in enumerate(yb[0]) if on]
report(names=names)

learn = vision_learner(dls, "test_resnet", pretrained=False, ps=0.0, metrics=partial(accuracy_multi, thresh=0.2))
fill_weights(learn.model)
report(untrained=learn.validate())
learn.metrics = [partial(accuracy_multi, thresh=0.1), F1ScoreMulti(thresh=0.3, average="macro"), RocAucMulti()]
report(others=learn.validate(), output=learn.model.eval()(xb))
learn.fine_tune(1, base_lr=3e-3, freeze_epochs=1)
preds, targs = learn.get_preds()
loosely(preds=preds, targs=targs, best=accuracy_multi(preds, targs, thresh=0.9, sigmoid=False))
decided, mask, probs = learn.predict(path / "images" / "03.png")
loosely(mask=mask, probs=probs)
report(decided=[str(d) for d in decided] == [dls.vocab[i] for i, on in enumerate(mask) if on])

from fastai.vision.all import *

# One number a picture, kept within a range.
path = Path(sys.argv[1]) / "table"
df = pd.read_csv(path / "labels.csv")
dls = DataBlock(
    blocks=(ImageBlock, RegressionBlock),
    get_x=ColReader("fname", pref=path / "images"),
    get_y=ColReader("brightness"),
    splitter=ColSplitter(),
    item_tfms=Resize(48, method=ResizeMethod.Squish),
).dataloaders(df, path=path, bs=8, num_workers=0, shuffle=False)
xb, yb = dls.valid.one_batch()
report(c=dls.c, y=yb, x=xb)
learn = vision_learner(dls, "test_resnet", pretrained=False, ps=0.0, y_range=(0, 1.2), metrics=[rmse, mae, R2Score()])
fill_weights(learn.model)
report(before=learn.validate())
learn.fit(2, 1e-3)
report(rows=learn.recorder.values)
preds, targs = learn.get_preds()
report(preds=preds, targs=targs)
value, tensor_, raw = learn.predict(path / "images" / "07.png")
report(raw=raw, value=[round(float(v), 3) for v in np.ravel(value)])

from fastai.vision.all import *

# Two numbers a picture.
path = Path(sys.argv[1]) / "table"
df = pd.read_csv(path / "labels.csv")
df["dark"] = 1 - df["brightness"]
dls = ImageDataLoaders.from_df(
    df,
    path,
    folder="images",
    fn_col=0,
    label_col=["brightness", "dark"],
    y_block=RegressionBlock(n_out=2),
    valid_col="is_valid",
    item_tfms=Resize(32),
    bs=8,
    num_workers=0,
)
report(c=dls.c, y=list(dls.valid.one_batch()[1].shape))
learn = vision_learner(dls, "test_resnet", pretrained=False, metrics=[mse, ExplainedVariance()], loss_func=L1LossFlat())
learn.fit_one_cycle(1, 1e-3)
loosely(preds=learn.get_preds(with_loss=True), shown=learn.validate())

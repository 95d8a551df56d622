from fastai.vision.all import *

# A table with one label a picture, read with pandas, and the same from the file.
path = Path(sys.argv[1]) / "table"
df = pd.read_csv(path / "labels.csv")
df["first"] = df["labels"].str.split(" ").str[0]
report(table=df)
dls = ImageDataLoaders.from_df(
    df,
    path,
    folder="images",
    fn_col="fname",
    label_col="first",
    valid_col="is_valid",
    item_tfms=Resize(48, ResizeMethod.Squish),
    bs=8,
    val_bs=8,
    num_workers=0,
)
report(vocab=list(dls.vocab), sizes=[len(dls.train_ds), len(dls.valid_ds)])
xb, yb = dls.valid.one_batch()
report(pixels=xb, numbers=yb)

df[["fname", "first"]].to_csv(path / "single.csv", index=False)
again = ImageDataLoaders.from_csv(
    path, csv_fname="single.csv", folder="images", valid_pct=0.25, seed=5, item_tfms=Resize(48), bs=8, num_workers=0
)
report(again=[len(again.train_ds), len(again.valid_ds)], c=again.c)

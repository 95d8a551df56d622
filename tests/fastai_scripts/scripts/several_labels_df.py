from fastai.vision.all import *

# The same from a DataFrame in one call, and with one-hot columns.
path = Path(sys.argv[1]) / "table"
df = pd.read_csv(path / "labels.csv")
dls = ImageDataLoaders.from_df(
    df,
    path,
    folder="images",
    label_col="labels",
    label_delim=" ",
    valid_col="is_valid",
    item_tfms=Resize(40),
    bs=8,
    num_workers=0,
)
report(vocab=list(dls.vocab), c=dls.c)
learn = vision_learner(
    dls, "test_resnet", pretrained=False, metrics=[accuracy_multi, PrecisionMulti(), RecallMulti(), HammingLossMulti()]
)
with learn.no_bar():
    learn.fit_one_cycle(1, slice(1e-3))
report(names=learn.recorder.metric_names)

for name in ("apple", "leaf", "plum"):
    df[name] = df["labels"].str.contains(name).astype(int)
hot = DataBlock(
    blocks=(ImageBlock, MultiCategoryBlock(encoded=True, vocab=["apple", "leaf", "plum"])),
    get_x=ColReader("fname", pref=f"{path}/images/"),
    get_y=ColReader(["apple", "leaf", "plum"]),
    splitter=ColSplitter("is_valid"),
    item_tfms=Resize(40),
).dataloaders(df, bs=8, num_workers=0)
report(hot=hot.valid.one_batch()[1], hot_vocab=list(hot.vocab))

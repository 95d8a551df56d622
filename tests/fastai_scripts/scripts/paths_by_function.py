from fastai.vision.all import *

# A function of the whole path.
path = Path(sys.argv[1]) / "folders"


def label_of(file):
    return "red" if file.parent.name == "apple" else "other"


files = get_image_files(path, folders=["train"])
dls = ImageDataLoaders.from_path_func(
    path, files, label_of, valid_pct=0.25, seed=1, item_tfms=[Resize((40, 48))], bs=4, num_workers=0
)
x, y = dls.valid.one_batch()
report(vocab=list(dls.vocab), image=list(x.shape), labels=list(y.shape), n=len(files))
report(
    by_regex=len(
        ImageDataLoaders.from_path_re(path, files, r"train/(\w+)/\d+", item_tfms=Resize(32), bs=4, num_workers=0).vocab
    )
)

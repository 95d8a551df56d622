from fastai.vision.all import *

# Lists of files and labels: names make classes, floats make a regression, lists make several labels.
path = Path(sys.argv[1]) / "folders" / "train"
files = get_image_files(path)
opts = dict(valid_pct=0.25, seed=3, item_tfms=Resize(32), bs=6, num_workers=0)
single = ImageDataLoaders.from_lists(path, files, [parent_label(f) for f in files], **opts)
report(single=list(single.vocab), single_c=single.c)

numbers = ImageDataLoaders.from_lists(path, files, [float(len(f.parent.name)) for f in files], y_block=RegressionBlock, **opts)
x, y = numbers.valid.one_batch()
report(numbers_c=numbers.c, values=y.dtype == torch.float32, value_shape=list(y.shape))

tags = [["round", f.parent.name] if f.parent.name != "leaf" else ["flat", "leaf"] for f in files]
several = ImageDataLoaders.from_lists(path, files, tags, **opts)
x, y = several.valid.one_batch()
report(several=list(several.vocab), hot=list(y.shape), dtype=str(y.dtype), each=y.sum(1))

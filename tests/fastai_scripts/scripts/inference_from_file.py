from fastai.vision.all import *

# Train, export, load elsewhere, predict.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(48, method="squish"), bs=12, num_workers=0)
learn = vision_learner(dls, resnet18, pretrained=False, metrics=error_rate)
learn.fine_tune(1)
learn.path = path
learn.export()
report(files=[f.name for f in path.ls(file_exts=".pkl")])

learn_inf = load_learner(path / "export.pkl")
report(vocab=list(learn_inf.dls.vocab))
files = get_image_files(path / "valid")
before, after = learn.predict(files[0]), learn_inf.predict(files[0])
report(same=before[0] == after[0], close=bool(torch.allclose(before[2], after[2], atol=1e-5)))

test = learn_inf.dls.test_dl(files[:5], bs=2, num_workers=0)
preds, none = learn_inf.get_preds(dl=test)
loosely(preds=preds, none=none)
_, _, decoded = learn_inf.get_preds(dl=test, with_decoded=True)
loosely(decoded=decoded)
report(agree=bool((decoded == preds.argmax(1)).all()))
labelled = learn.dls.test_dl(files, with_labels=True)
loosely(checked=learn.validate(dl=labelled))
report(labels=learn.get_preds(dl=labelled)[1])
learn.export("second.pkl")
report(both=sorted(f.name for f in path.ls(file_exts=".pkl")))
with learn_inf.no_bar():
    probs = learn_inf.predict(PILImage.create(files[1]))[2]
loosely(probs=probs)
from_bytes = learn_inf.predict(files[1].read_bytes())[2]
report(bytes_too=bool(torch.allclose(probs, from_bytes, atol=1e-5)))

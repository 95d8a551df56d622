from fastai.vision.all import *

# Weights and the state of the optimizer, saved under a name.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(40, method="squish"), bs=12, num_workers=0)
learn = vision_learner(dls, "test_resnet", pretrained=False, metrics=error_rate, path=path, model_dir="kept")
learn.fit_one_cycle(1, 1e-3)
learn.save("stage-1")
report(folder=(path / "kept").exists(), stem=[f.stem for f in (path / "kept").ls()])
kept = learn.validate()
learn.fit_one_cycle(1, 1e-2)
learn = learn.load("stage-1")
report(same=[abs(a - b) < 1e-5 for a, b in zip(learn.validate(), kept)])
other = vision_learner(dls, "test_resnet", pretrained=False, metrics=error_rate, path=path, model_dir="kept").load(
    "stage-1", with_opt=False
)
report(other=[abs(a - b) < 1e-5 for a, b in zip(other.validate(), kept)])
other.unfreeze()
other.fit(1, slice(1e-5, 1e-3))

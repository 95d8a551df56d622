from fastai.vision.all import *

# Callbacks that watch a figure.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(40), bs=12, num_workers=0)
learn = vision_learner(
    dls,
    "test_resnet",
    pretrained=False,
    metrics=[accuracy, error_rate],
    cbs=[
        EarlyStoppingCallback(monitor="accuracy", min_delta=2.0, patience=2),
        SaveModelCallback(monitor="valid_loss", fname="best"),
        CSVLogger("log.csv"),
    ],
)
learn.path = path
learn.fit(6, 1e-3)
log = pd.read_csv(path / "log.csv")
report(epochs=len(learn.recorder.values), columns=[str(c) for c in log.columns], rows=len(log))
report(saved=[f.stem for f in (path / "models").ls() if f.suffix != ".json"])
learn.load("best")
learn.remove_cbs([EarlyStoppingCallback, SaveModelCallback, CSVLogger])
learn.fit(3, 1e-2, cbs=ReduceLROnPlateau(monitor="accuracy", min_delta=2.0, patience=1, factor=10))
report(rate=learn.opt.hypers[-1]["lr"])
learn.fit_one_cycle(1, 1e-3, cbs=[TerminateOnNaNCallback(), GradientClip(0.5), ShortEpochCallback(pct=0.5)])
report(short=len(learn.recorder.values))
learn.fit(2, 1e-3, cbs=SaveModelCallback(every_epoch=True, fname="each"))
report(every=sorted(f.stem for f in (path / "models").ls() if f.stem.startswith("each")))

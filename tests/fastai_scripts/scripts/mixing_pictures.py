from fastai.vision.all import *

# MixUp, CutMix and label smoothing.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(40), bs=12, num_workers=0)
learn = vision_learner(
    dls, "test_resnet", pretrained=False, loss_func=LabelSmoothingCrossEntropy(), metrics=accuracy, cbs=MixUp()
)
learn.fit_one_cycle(2, 3e-3)
loosely(row=learn.recorder.values[-1], preds=learn.get_preds(with_loss=True))
learn = vision_learner(dls, "test_resnet", pretrained=False, metrics=[accuracy, error_rate])
learn.fine_tune(2, 3e-3, cbs=[CutMix(1.0)])
report(names=learn.recorder.metric_names, epochs=len(learn.recorder.values))
learn.fit(1, 1e-3, cbs=MixUp(alpha=0.2))

logits, labels = tensor([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3]]), tensor([0, 2])
report(
    smooth=LabelSmoothingCrossEntropy(eps=0.1)(logits, labels),
    flat=CrossEntropyLossFlat()(logits, labels),
    focal=FocalLossFlat(gamma=2.0)(logits, labels),
)
report(
    weighted=CrossEntropyLossFlat(weight=tensor([1.0, 2.0, 3.0]))(logits, labels),
    none=CrossEntropyLossFlat(reduction="none")(logits, labels),
)

from fastai.vision.all import *

# Where does the network go wrong?
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(48, method="squish"), bs=12, shuffle=False, num_workers=0)
learn = vision_learner(dls, "test_resnet", pretrained=False, ps=0.0, metrics=error_rate)
fill_weights(learn.model)
learn.fit(1, 1e-3)
interp = ClassificationInterpretation.from_learner(learn)
cm = interp.confusion_matrix()
report(cm=cm, total=int(cm.sum()), wrong=interp.most_confused(min_val=1), vocab=list(interp.vocab))
losses, idxs = interp.top_losses(5)
report(losses=losses, idxs=idxs)
report(lengths=[len(interp.top_losses()[0]), len(interp.top_losses(largest=False)[1])])
interp.plot_confusion_matrix(figsize=(4, 4), dpi=60)
interp.plot_confusion_matrix(normalize=True)
interp.plot_top_losses(4, nrows=2)
interp.print_classification_report()
losses, idxs, items = interp.top_losses(2, items=True)
report(items=[Path(i).name for i in items], files=[Path(dls.valid_ds.items[i]).name for i in idxs])

from fastai.vision.all import *

# Everything that get_preds can return.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(48, method="squish"), bs=8, shuffle=False, num_workers=0)
learn = vision_learner(dls, resnet18, pretrained=False, ps=0.0)
fill_weights(learn.model)
report(plain=learn.get_preds())
report(train=learn.get_preds(ds_idx=0))
inputs, probs, targs, decoded, losses = learn.get_preds(with_input=True, with_decoded=True, with_loss=True)
report(inputs=inputs, probs=probs, targs=targs, decoded=decoded, losses=losses)
report(raw=learn.get_preds(act=noop)[0])
preds, targs = learn.get_preds(dl=dls.valid, reorder=False)
report(unordered=preds)
pred = learn.predict(path / "valid" / "leaf" / "01.png", with_input=True)
report(parts=len(pred), given=list(pred[0].shape), label=str(pred[1]), probabilities=pred[3])
rows = dls.valid.new(shuffle=True)
report(order=learn.get_preds(dl=rows)[1])

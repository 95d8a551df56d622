from fastai.vision.all import *

# A network of timm by its name.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(48, method="squish"), bs=12, shuffle=False, num_workers=0)
learn = vision_learner(dls, "test_resnet", pretrained=False, ps=0.0, metrics=error_rate)
fill_weights(learn.model)
report(before=learn.validate())
learn.fit_one_cycle(1, 1e-3)
report(row=learn.recorder.values[-1][:2])
vit = vision_learner(
    ImageDataLoaders.from_folder(path, item_tfms=Resize(160), bs=4, num_workers=0), "test_vit", pretrained=False
)
loosely(vit=vit.get_preds())

from fastai.vision.all import *

# Grey pictures through a network with one input channel.
path = Path(sys.argv[1]) / "grey"
dls = ImageDataLoaders.from_folder(path, img_cls=PILImageBW, bs=8, shuffle=False, num_workers=0)
xb, yb = dls.valid.one_batch()
report(x=xb, y=yb, vocab=list(dls.vocab))
learn = vision_learner(dls, resnet18, n_in=1, pretrained=False, ps=0.0, metrics=accuracy)
fill_weights(learn.model)
report(first=list(first(learn.model.parameters()).shape), before=learn.validate())
learn.fit_one_cycle(1, 1e-3)
report(row=learn.recorder.values[-1][:2])
block = DataBlock(
    (ImageBlock(cls=PILImageBW), CategoryBlock),
    get_items=get_image_files,
    splitter=GrandparentSplitter(),
    get_y=parent_label,
    batch_tfms=[Normalize()],
)
loosely(normal=block.dataloaders(path, bs=8, num_workers=0).one_batch())
img = PILImageBW.create(first(get_image_files(path)))
report(mode=img.mode, size=img.size)
loosely(predicted=learn.predict(img)[1:])

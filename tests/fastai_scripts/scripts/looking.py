from fastai.vision.all import *

# All the pictures and tables that one looks at.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(48), batch_tfms=aug_transforms(), bs=12, num_workers=0)
dls.show_batch()
dls.valid.show_batch(max_n=4, nrows=1)
dls.train.show_batch(max_n=8, nrows=2, unique=True)
learn = vision_learner(dls, "test_resnet", pretrained=False, metrics=accuracy)
learn.fit_one_cycle(2, 1e-3)
learn.show_results(max_n=6, figsize=(6, 6))
learn.recorder.plot_loss()
learn.recorder.plot_loss(skip_start=1, with_valid=True)
learn.recorder.plot_sched()
text = str(learn.summary())
report(summary=["Conv2d" in text, "BatchNorm2d" in text, "512" in text])
fig, axs = plt.subplots(1, 3, figsize=(6, 2))
for file, ax in zip(get_image_files(path)[:3], axs.flat):
    show_image(PILImage.create(file), ax=ax, title=parent_label(file))
xb, yb = dls.one_batch()
ax = show_image(xb[0].clamp(0, 1), figsize=(2, 2))
report(drawn=len(ax.images), axes=len(fig.axes), titles=[a.get_title() for a in fig.axes])
img = PILImage.create(get_image_files(path)[0])
img.show()
report(resized=img.resize((20, 16)).size, thumb=img.to_thumb(24).size, array=list(np.array(img).shape))
show_images([img, img], nrows=1, titles=["one", "two"])

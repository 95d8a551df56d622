from fastai.vision.all import *

# In this folder the names of fruit begin with a capital letter.
path = Path(sys.argv[1]) / "names"
files = get_image_files(path)


def is_fruit(name):
    return name[0].isupper()


set_seed(99)
dls = ImageDataLoaders.from_name_func(
    path, files, is_fruit, valid_pct=0.25, seed=99, item_tfms=Resize(32, method="squish"), bs=6, num_workers=0
)
report(vocab=list(dls.vocab), c=dls.c)
learn = vision_learner(dls, resnet18, metrics=error_rate, pretrained=False)
learn.fine_tune(2)
img = PILImage.create(path / "Apple_00.png")
report(size=img.size, shape=img.shape)
fruit, _, probs = learn.predict(img)
loosely(probs=probs, probability=probs[1].item())
report(kind=str(fruit) in ("True", "False"))

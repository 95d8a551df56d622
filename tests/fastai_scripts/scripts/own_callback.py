from fastai.vision.all import *

# Callbacks see, change and stop what goes on.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(32, method="squish"), bs=12, shuffle=False, num_workers=0)
heard = []


class Ears(Callback):
    order = 65

    def before_fit(self):
        heard.append(f"fit of {self.n_epoch}")

    def before_epoch(self):
        heard.append(f"epoch {self.epoch}")

    def before_batch(self):
        heard.append(
            f"batch {self.iter} of {self.n_iter}, {'training' if self.training else 'checking'}, {tuple(self.xb[0].shape)}"
        )

    def after_pred(self):
        self.learn.pred = self.pred * 0.5

    def after_loss(self):
        heard.append(f"loss {self.loss.item():.3f} of {len(self.y)}")

    def after_epoch(self):
        heard.append("epoch over")

    def after_fit(self):
        heard.append("fit over")


class StopEarly(Callback):
    def __init__(self, batches):
        self.batches = batches

    def after_batch(self):
        if self.training and self.train_iter >= self.batches:
            raise CancelFitException()


learn = vision_learner(dls, "test_resnet", pretrained=False, ps=0.0, cbs=Ears())
fill_weights(learn.model)
learn.fit(1, 1e-4)
report(heard=list(heard))
heard.clear()
learn.fit(3, 1e-4, cbs=StopEarly(3))
report(stopped=[h for h in heard if not h.startswith("loss")])
learn.remove_cb(Ears)
report(still=any(isinstance(c, Ears) for c in learn.cbs), named=hasattr(learn, "recorder"))
with learn.added_cbs(StopEarly(1)):
    learn.fit(1, 1e-4)
report(left=[type(c).__name__ for c in learn.cbs if type(c).__name__ == "StopEarly"])

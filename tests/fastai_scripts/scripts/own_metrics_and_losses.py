from fastai.vision.all import *

# Whatever is called on (predictions, targets) can be a metric; whatever gives a number can be a loss.
from sklearn.metrics import accuracy_score

path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(48, method="squish"), bs=8, val_bs=5, shuffle=False, num_workers=0)


def share_of_leaves(inp, targ):
    return (inp.argmax(dim=1) == 1).float().mean()


def my_loss(inp, targ):
    return F.cross_entropy(inp, targ) + 0.01 * (inp**2).mean()


metrics = [
    share_of_leaves,
    F1Score(average="macro"),
    Precision(average="macro"),
    Recall(average="weighted"),
    CohenKappa(),
    MatthewsCorrCoef(),
    BalancedAccuracy(),
    RocAuc(),
    partial(top_k_accuracy, k=2),
]
learn = vision_learner(dls, "test_resnet", pretrained=False, ps=0.0, loss_func=my_loss, metrics=metrics)
fill_weights(learn.model)
report(before=learn.validate(), names=learn.recorder.metric_names)
learn.fit(1, 1e-3)
report(row=learn.recorder.values[-1][:2])
learn.loss_func = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5]))
learn.metrics = [AccumMetric(lambda p, t: (p.argmax(1) == t).float().mean(), flatten=False), skm_to_fastai(accuracy_score)]
loosely(others=learn.validate())
learn.fit(1, 1e-3)


class Halved(nn.Module):
    def __init__(self, axis=-1):
        super().__init__()
        self.ce = nn.CrossEntropyLoss()

    def forward(self, inp, targ):
        return self.ce(inp, targ) / 2


learn.loss_func = Halved()
loosely(halved=learn.validate())
report(rmse=float(rmse(tensor([1.0, 2.0]), tensor([2.0, 4.0]))), msle=float(msle(tensor([1.0, 2.0]), tensor([2.0, 4.0]))))

from fastai.vision.all import *

# Networks taken apart: layers changed, features taken out, weights put in, and PyTorch alone at the end.
path = Path(sys.argv[1]) / "folders"
dls = ImageDataLoaders.from_folder(path, item_tfms=Resize(32, method="squish"), bs=8, shuffle=False, num_workers=0)
learn = vision_learner(dls, resnet18, pretrained=False, metrics=accuracy)
learn.model[-1][-1] = nn.Linear(512, dls.c)
fill_weights(learn.model)
report(last=learn.model[-1][-1].weight, preds=learn.get_preds()[0], cut=model_meta[resnet18]["cut"])

features = nn.Sequential(*list(learn.model.children())[:-1], *learn.model[1][:2])
features.eval()
xb, yb = dls.valid.one_batch()
with hook_output(learn.model[0]) as hook, torch.no_grad():
    learn.model.eval()(xb)
    report(hooked=hook.stored, features=features(xb))
with hook_output(learn.model[0], grad=True) as back, hook_output(learn.model[0]) as forth:
    learn.model(xb)[0, int(yb[0])].backward()
report(cam=(back.stored[0][0].mean(dim=[1, 2], keepdim=True) * forth.stored[0]).sum(0))

kept = learn.model.state_dict()
torch.save(kept, path / "kept.pth")
other = vision_learner(dls, resnet18, pretrained=False)
other.model.load_state_dict(torch.load(path / "kept.pth"), strict=False)
found = other.model.load_state_dict({k: v for k, v in kept.items() if not k.startswith("1.8")}, strict=False)
report(missing=list(found.missing_keys), unexpected=list(found.unexpected_keys))

tdl = dls.test_dl(get_image_files(path / "valid").sorted())
learn.model.eval()
with torch.no_grad():
    raw = torch.cat([learn.model(batch[0]).softmax(dim=1) for batch in tdl])
report(raw=raw, batches=len(tdl), new=list(dls.valid.new(bs=2).one_batch()[0].shape))

own = nn.Sequential(create_body(resnet18(weights=None), cut=-2), create_head(512, dls.c, ps=0.0))
apply_init(own[1], nn.init.kaiming_normal_)
learn = Learner(dls, own, splitter=model_meta[resnet18]["split"])
learn.freeze()
report(groups=[len(group) for group in learn.opt.param_lists], trains=len(trainable_params(own)))
for parameter in own[0].parameters():
    parameter.requires_grad = False
report(frozen=requires_grad(own[0]))
model, cfg = create_timm_model("test_resnet", dls.c, pretrained=False)
report(timm=list(model(xb).shape), size=list(cfg["input_size"]))

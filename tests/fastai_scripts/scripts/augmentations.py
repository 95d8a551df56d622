from fastai.vision.all import *

# Every transform by name.
path = Path(sys.argv[1]) / "folders"
report(count=len(aug_transforms(do_flip=False, max_rotate=0, max_warp=0, max_lighting=0, max_zoom=1.0)))


def shape(item=None, batch=None):
    dls = ImageDataLoaders.from_folder(path, item_tfms=item or Resize(32), batch_tfms=batch, bs=6, num_workers=0)
    return [list(dls.train.one_batch()[0].shape), list(dls.valid.one_batch()[0].shape)]


report(
    pad=shape(Resize(32, ResizeMethod.Pad, pad_mode=PadMode.Zeros)),
    squish=shape(Resize((24, 32), method="squish")),
    crop=shape(RandomCrop(24)),
    croppad=shape(CropPad(40)),
)
report(
    flip=shape([Resize(32), FlipItem(p=1.0)]),
    dihedral=shape([Resize(32), DihedralItem()]),
    resized=shape(RandomResizedCrop(32, min_scale=0.35, ratio=(0.9, 1.1))),
)
report(
    each=[
        shape(batch=t)
        for t in (
            Flip(),
            Dihedral(p=0.5),
            Rotate(max_deg=20, p=1.0),
            Zoom(max_zoom=1.5),
            Warp(magnitude=0.3),
            Brightness(max_lighting=0.4),
            Contrast(),
            Saturation(),
            Hue(),
            RandomErasing(p=1.0, max_count=2),
        )
    ]
)
report(
    crop_gpu=shape(batch=RandomResizedCropGPU(24)),
    several=shape(batch=[*aug_transforms(size=24, flip_vert=True, max_rotate=180), Saturation(), RandomErasing()]),
    extra=shape(batch=aug_transforms(xtra_tfms=[Saturation(0.3)], pad_mode="zeros")),
)
dls = ImageDataLoaders.from_folder(
    path, item_tfms=Resize(32, method="pad", pad_mode="zeros"), bs=12, shuffle=False, num_workers=0
)
report(padded=dls.valid.one_batch()[0])
dls = ImageDataLoaders.from_folder(path, item_tfms=RatioResize(40), bs=12, shuffle=False, num_workers=0)
report(ratio=list(dls.valid.one_batch()[0].shape))
dls = ImageDataLoaders.from_folder(path, item_tfms=CropPad(40), bs=12, shuffle=False, num_workers=0)
report(centre=dls.valid.one_batch()[0])

from fastai.vision.all import *

# A function or a class of one's own as an item or a batch transform.
path = Path(sys.argv[1]) / "folders"


def turned(img: PILImage):
    return img.rotate(180)


class Darker(Transform):
    def encodes(self, x: TensorImage):
        return x * 0.5


class Upside(Transform):
    order = 2

    def encodes(self, img: PILImage):
        return img.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


class OnlyInTraining(Transform):
    split_idx = 0

    def encodes(self, x: TensorImage):
        return x + 10


opts = dict(bs=6, shuffle=False, num_workers=0)
size = Resize(32, method="squish")
plain = ImageDataLoaders.from_folder(path, item_tfms=size, **opts).valid.one_batch()[0]
darker = ImageDataLoaders.from_folder(path, item_tfms=size, batch_tfms=[Darker()], **opts).valid.one_batch()[0]
report(plain=plain, darker=darker)
upside = ImageDataLoaders.from_folder(path, item_tfms=[size, Upside()], **opts).valid.one_batch()[0]
report(upside=upside, flipped=bool(torch.equal(upside, plain.flip(2))))
only = ImageDataLoaders.from_folder(path, item_tfms=size, batch_tfms=OnlyInTraining(), **opts)
report(trained=bool(only.train.one_batch()[0].min() >= 10), checked=bool(only.valid.one_batch()[0].max() <= 1))
block = DataBlock(
    blocks=(ImageBlock, CategoryBlock),
    get_items=get_image_files,
    get_y=parent_label,
    splitter=GrandparentSplitter(),
    item_tfms=[size, turned],
)
report(turned=block.dataloaders(path, **opts).valid.one_batch()[0])
report(called=float(Darker()(TensorImage(torch.ones(3, 2, 2)))[0, 0, 0]))

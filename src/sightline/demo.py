"""The demonstration: handwritten digits as an image folder, and the whole road from there to predictions.

The 1,797 digits come with scikit-learn (8 x 8 pixels, collected by E. Alpaydin and C. Kaynak, UCI Machine Learning Repository).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image
    from rich.text import Text

    from sightline.console import PlainConsole
    from sightline.predict import Prediction

SIDE_PX = 32
MARGIN_PX = 2
VALID_EVERY = 5
# timm's smallest residual network, from random weights: at 32 pixels it is quicker and better than resnet18, which shrinks
# such pictures to a single pixel before it decides.
ARCH, EPOCHS, LEARNING_RATE, BATCH_SIZE = "test_resnet", 14, 8e-3, 64
SHOWN = 6
SHADES = " .:-=+*#%@"


def run_demo(*, out: Path | None = None, seed: int = 42, device: str | None = None) -> Path:
    """Write the digits, train, export, predict, and say where everything lies.

    Args:
        out: The folder for all of it, new or empty; None makes runs/demo-<time>.
        seed: Fixes the first weights and every random draw.
        device: Where to compute; None takes the best that is there.

    Returns:
        The folder.

    Raises:
        OptionError: The folder holds something already.
    """
    from sightline.cli.runs import claim_folder
    from sightline.cli.settings import TrainSettings
    from sightline.cli.training import run_training
    from sightline.console import PlainConsole
    from sightline.predict import Predictor

    digits, names = load_digits()
    folder = claim_folder(out, "demo")
    pictures, run = folder / "digits", folder / "run"
    write_digits(pictures, digits, names)
    screen = PlainConsole()
    screen.print(
        f"{len(digits):,} handwritten digits are in {pictures}, in folders named after what they show.\n", soft_wrap=True
    )
    settings = TrainSettings(
        data=pictures,
        seed=seed,
        size=SIDE_PX,
        flip=False,  # a mirrored digit is no digit
        arch=ARCH,
        pretrained=False,
        epochs=EPOCHS,
        lr=LEARNING_RATE,
        bs=BATCH_SIZE,
        out=run,
        device=device,
    )
    _, learn = run_training(settings, name="demo")
    learn.dls.show_batch(max_n=16).savefig(folder / "batch.png")
    predictor = Predictor.load(run / "model.safetensors", device)
    predictions = list(predictor.predict_many(sorted((pictures / "valid").rglob("*.png"))))
    _save_figure(worth_seeing(predictions, 16), folder / "predictions.png")
    _show(screen, predictions, folder)
    return folder


def load_digits() -> tuple[npt.NDArray[np.uint8], list[str]]:
    """The digits, uint8 `(1797, 8, 8)` with ink as 255, and what each shows."""
    import numpy as np
    from sklearn import datasets

    found = datasets.load_digits()
    return np.round(found.images * (255 / 16)).astype(np.uint8), [str(name) for name in found.target]


def write_digits(folder: Path, digits: npt.NDArray[np.uint8], names: list[str]) -> None:
    """Write `folder/train/7/0012.png` and so on; every fifth picture of a class is for validation."""
    from PIL import Image

    seen: Counter[str] = Counter()
    for number, (digit, name) in enumerate(zip(digits, names, strict=True)):
        part = "valid" if seen[name] % VALID_EVERY == 0 else "train"
        seen[name] += 1
        path = folder / part / name / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        # The ink reaches the edges of the 8 x 8 pixels; a margin gives it room to turn and to be zoomed.
        ink = Image.fromarray(digit).resize((SIDE_PX - 2 * MARGIN_PX,) * 2, Image.Resampling.BICUBIC)
        picture = Image.new("L", (SIDE_PX, SIDE_PX))
        picture.paste(ink, (MARGIN_PX, MARGIN_PX))
        picture.save(path)


def worth_seeing(predictions: list[Prediction], count: int) -> list[Prediction]:
    """The wrong ones first, at most half of the count, then right ones spread over the classes."""
    wrong = [one for one in predictions if not is_right(one)][: count // 2]
    right = [one for one in predictions if is_right(one)]
    wanted = count - len(wrong)
    step = max(1, len(right) // wanted)
    return [*wrong, *right[::step][:wanted]]


def is_right(prediction: Prediction) -> bool:
    """Whether a digit was called what the folder that holds it is called."""
    return str(prediction.label) == Path(prediction.source).parent.name


def in_characters(picture: Image.Image, *, colours: bool) -> Text:
    """A picture as text: two pixels a character in colours, or one shade a character without.

    Args:
        picture: Any size; an even height looks best.
        colours: Whether the terminal shows colours.
    """
    import numpy as np
    from rich.text import Text

    pixels = np.asarray(picture.convert("RGB"))
    text = Text()
    for upper, lower in zip(pixels[0::2], pixels[1::2], strict=False):
        for above, below in zip(upper, lower, strict=True):
            if colours:
                text.append("▀", style=f"rgb({above[0]},{above[1]},{above[2]}) on rgb({below[0]},{below[1]},{below[2]})")
            else:
                text.append(SHADES[round(float(np.mean([above, below])) / 255 * (len(SHADES) - 1))])
        text.append("\n")
    text.rstrip()
    return text


def _show(screen: PlainConsole, predictions: list[Prediction], folder: Path) -> None:
    from PIL import Image
    from rich.columns import Columns
    from rich.console import Group
    from rich.text import Text

    right = sum(map(is_right, predictions))
    screen.print(
        f"\nOf {len(predictions)} digits that training never saw, {right} are read right: {right / len(predictions):.1%}.\n"
    )
    tiles = []
    for one in worth_seeing(predictions, SHOWN):
        picture = Image.open(one.source).resize((16, 16), Image.Resampling.LANCZOS)
        style = "green" if is_right(one) else "red"
        truth = "" if is_right(one) else f", is {Path(one.source).parent.name}"
        caption = Text(f"{one.label} ({one.top(1)[0][1]:.0%}){truth}", style=style)
        tiles.append(Group(in_characters(picture, colours=screen.color_system is not None), caption))
    screen.print(Columns(tiles, padding=(1, 3), width=16))
    lines: list[tuple[str, str]] = [
        ("digits", "the pictures, in folders"),
        ("batch.png", "pictures as training sees them, turned and lit differently each time"),
        ("predictions.png", "pictures with what the network reads, wrong ones first"),
        ("run/model.safetensors", "the network: everything that prediction needs, in one file"),
        ("run/history.csv", "losses, error rate and speed of every epoch"),
        ("run/run.json", "settings, versions, plan and final figures"),
        ("run/log.txt", "what was shown"),
    ]
    screen.print(f"\nIn {folder}:", soft_wrap=True)
    for name, what in lines:
        screen.print(f"  {name:<22} {what}", soft_wrap=True)


def _save_figure(predictions: list[Prediction], path: Path) -> None:
    import math

    from matplotlib.figure import Figure
    from PIL import Image

    columns = math.ceil(math.sqrt(len(predictions)))
    rows = math.ceil(len(predictions) / columns)
    figure = Figure(figsize=(2 * columns, 2.2 * rows), layout="constrained")
    axes: Any = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, one in zip(axes.flat, predictions, strict=False):
        axis.imshow(Image.open(one.source), cmap="gray", vmin=0, vmax=255)
        truth = "" if is_right(one) else f"\nis {Path(one.source).parent.name}"
        axis.set_title(f"{one.label} ({one.top(1)[0][1]:.0%}){truth}", color="black" if is_right(one) else "firebrick")
    figure.savefig(path)

"""What users get wrong, command by command: one message that says what, where and what to do, exit code 2, and no traceback."""

from __future__ import annotations

import re
import time
from pathlib import Path
from shutil import copytree

import pytest
import torch
from safetensors.torch import save_file

from cli.small import COLOURS, draw, run

LONGEST_S = 10.0
RANDOM = ["--arch", "test_resnet", "--no-pretrained"]

USAGE = [
    ("trian", "No such command 'trian'. Did you mean 'train'?"),
    ("--verison", "No such option: --verison. Did you mean '--version'?"),
    ("train", "Missing argument 'DATA'"),
    ("train {folders} more", "unexpected extra argument"),
    ("train {folders} --epohcs 3", "No such option: --epohcs. Did you mean '--epochs'"),
    ("train {folders} --epochs many", "'--epochs': 'many' should be"),
    ("train {folders} --epochs -1", "'--epochs': '-1' should be"),
    ("train {folders} --epochs", "'--epochs' requires an argument"),
    ("train {folders} --bs 0", "'--bs': '0' should be"),
    ("train {folders} --bs 1.5", "'--bs': '1.5' should be"),
    ("train {folders} --valid 2", "'--valid': '2' should be"),
    ("train {folders} --valid a-fifth", "'--valid': 'a-fifth' should be"),
    ("train {folders} --size 0", "'--size': '0' should be"),
    ("train {folders} --seed lucky", "'--seed': 'lucky' should be"),
    ("train {folders} --lr fast", "'--lr': 'fast' should be"),
    ("train {folders} --workers -1", "'--workers': '-1' should be"),
    ("train {folders} --resize corp", "'crop', 'pad', 'squish'"),
    ("train {folders} --on-error skip", "'set_aside', 'raise'"),
    ("train {folders} --frozen yes", "'train', 'features'"),
    ("train {folders} --fp32 --bf16", "--fp32 and --bf16 exclude each other"),
    ("train {folders} --weights w.pth --no-pretrained", "--weights and --no-pretrained exclude each other"),
    ("predict", "Missing argument 'MODEL'"),
    ("predict {model}", "Missing argument 'PICTURES...'"),
    ("predict {model} {folders} --top 0", "'--top': '0' should be"),
    ("predict {model} {folders} --cvs x.csv", "Did you mean '--csv'"),
    ("evaluate {model}", "Missing argument 'DATA'"),
    ("evaluate {model} {folders} --bs none", "'--bs': 'none' should be"),
    ("convert", "Missing argument 'WEIGHTS'"),
    ("convert {weights} --threshold 2", "'--threshold': '2' should be"),
    ("convert {weights} --n-in 0", "'--n-in': '0' should be"),
    ("bench {folders} --seconds 0", "'--seconds': '0' should be"),
    ("bench {folders} --out run", "No such option: --out"),
    ("check", "Missing argument 'DATA'"),
    ("check {folders} --size none", "'--size': 'none' should be"),
    ("demo now", "unexpected extra argument"),
    ("demo --seed lucky", "'--seed': 'lucky' should be"),
]
"""Command lines that are wrong by themselves."""

DATA = [
    ("train {place}/nowhere", "There is no folder {place}/nowhere"),
    ("train {place}/broken/a/1.png", "is a file. Expected a folder with pictures"),
    ("train {place}/empty", "No pictures were found in {place}/empty"),
    ("train {place}/texts", "No pictures were found in {place}/texts"),
    ("train {place}/broken", "cannot be read"),
    ("train {place}/broken --on-error raise", "pass --on-error set_aside"),
    ("resume {place}/empty", "holds no run to go on with: there is no run.json"),
    ("resume {place}/nowhere", "holds no run to go on with"),
    ("train {folders}/train --folds 3 --valid 0.3", "--folds and --valid exclude each other"),
    ("train {folders}/train --folds 3 --fold 3", "--fold 3: expected a number from 0"),
    ("train --like {place}/empty", "holds no run to go on with"),
    ("train", "Missing argument 'DATA'"),
    ("predict {run} {folders}", "is a run folder. Its model is"),
    ("train {place}/single", "Nothing is left for validation of 1 picture in 1 group"),
    ("train {table} --labels label.csv", "There is no table label.csv"),
    ("train {table} --labels {table}/images", "{table}/images"),
    ("train {table} --labels {place}/empty.csv", "{place}/empty.csv"),
    ("train {table} --labels {place}/binary.csv", "{place}/binary.csv"),
    ("train {table} --labels {place}/names.csv", "no column left for the labels"),
    ("train {table} --labels {place}/blank.csv --folder images --suffix .png", "blank"),
    ("train {table} --labels labels.csv --label-col colour", "There is no column 'colour'"),
    ("train {table} --labels labels.csv --fn-col filename", "There is no column 'filename'"),
    ("train {table} --labels labels.csv --valid-col valid", "There is no column 'valid'"),
    ("train {table} --labels labels.csv --folder pictures", "do not exist"),
    ("train {table} --labels labels.csv --folder images --suffix .jpg", "do not exist"),
    ("train {table} --labels labels.csv --folder images --suffix .png --regression", "'red', not a number"),
    ("train {table} --label-col colours", "There is no table that '--label-col' could tell how to read"),
    ("train {folders} --valid-col part", "There is no table that '--valid-col' could tell how to read"),
    ("evaluate {model} {place}/nowhere", "There is no folder {place}/nowhere"),
    ("evaluate {model} {place}/empty", "No pictures were found in {place}/empty"),
    ("evaluate {model} {place}/broken", "None of 10 pictures could be read"),
    ("evaluate {model} {place}/pets", "labels that the model does not know: 'cat'"),
    ("evaluate {model} {table} --labels labels.csv --label-col colour", "There is no column 'colour'"),
    ("evaluate {model} {folders} --suffix .png", "There is no table that '--suffix' could tell how to read"),
    ("predict {model} {place}/nowhere.jpg", "There is no file or folder {place}/nowhere.jpg"),
    ("predict {model} {place}/empty", "No pictures were found in {place}/empty"),
    ("predict {model} {place}/broken", "None of 10 pictures could be read"),
    ("check {place}/nowhere", "There is no folder {place}/nowhere"),
    ("check {place}/empty", "No pictures were found in {place}/empty"),
    ("check {table} --labels label.csv", "There is no table label.csv"),
    ("check {table} --labels labels.csv --label-col colour", "There is no column 'colour'"),
    ("check {folders} --suffix .png", "There is no table that '--suffix' could tell how to read"),
    ("check {folders} --out {place}/empty", "--out {place}/empty is a folder"),
    ("bench {place}/nowhere", "There is no folder {place}/nowhere"),
]
"""Data that is not there, or cannot be used."""

MODELS = [
    ("train {folders} --arch resnet43", "There is no architecture called 'resnet43'. Did you mean 'resnet34'"),
    ("train {folders} --arch ''", "architecture"),
    ("train {folders} --weights my.pth", "weights='my.pth': there is no such file"),
    ("train {folders} --weights {place}/texts/a.txt", "a.txt"),
    ("train {folders} --arch test_resnet --weights {place}/garbage.safetensors", "garbage.safetensors"),
    ("train {folders} --arch test_resnet --weights {place}/garbage.pth", "garbage.pth"),
    ("train {folders} --arch test_resnet --weights {place}/other.safetensors", "other.safetensors"),
    ("predict {place}/nowhere.safetensors {folders}", "{place}/nowhere.safetensors is not a file"),
    ("predict {place}/garbage.safetensors {folders}", "garbage.safetensors"),
    ("predict {place}/cut.safetensors {folders}", "cut.safetensors"),
    ("predict {place}/garbage.pth {folders}", "garbage.pth"),
    ("predict {place}/learner.pkl {folders}", "learner.pkl"),
    ("predict {place}/other.safetensors {folders}", "other.safetensors holds tensors but no manifest"),
    ("predict {place} {folders}", "{place} is not a file"),
    ("evaluate {place}/nowhere.safetensors {folders}", "{place}/nowhere.safetensors is not a file"),
    ("evaluate {place}/garbage.safetensors {folders}", "garbage.safetensors"),
    ("convert {place}/nowhere.pth", "nowhere.pth"),
    ("convert {place}/garbage.pth", "garbage.pth"),
    ("convert {place}/learner.pkl", "learner.pkl"),
    ("convert {weights} --arch resnet43 --labels a,b", "'resnet43'. Did you mean 'resnet34'"),
    ("convert {weights} --arch test_resnet --labels a,b", "3 outputs, but 2 labels"),
    ("convert {weights} --arch test_resnet --labels a,a,b", "'a' more than once"),
    ("convert {weights} --arch test_resnet --labels a --vocab v.txt", "both name the outputs"),
    ("convert {weights} --arch test_resnet --vocab {place}/nowhere.txt", "{place}/nowhere.txt cannot be read"),
    ("convert {weights} --arch test_resnet --vocab {place}/empty.csv", "holds no names"),
    ("convert {weights} --arch test_resnet --regression --labels a,b,c", "Give either labels or --regression"),
    ("convert {weights} --arch test_resnet --regression --y-low 0", "--y-low and --y-high belong together"),
    ("convert {weights} --arch test_resnet --regression --y-low 5 --y-high 1", "--y-low and --y-high (5.0, 1.0)"),
    ("bench {folders} --arch resnet43", "'resnet43'. Did you mean 'resnet34'"),
]
"""Models, weights and architectures."""

SETTINGS = [
    ("train {folders} --device abacus", "--device 'abacus' is not a device"),
    ("train {folders} --device gpu", "--device 'gpu' is not a device"),
    ("train {folders} --device cuda:99 --arch test_resnet --no-pretrained", "cuda:99"),
    ("train {folders} --out {place}/texts", "--out {place}/texts holds something already"),
    ("train {folders} --out {run}", "--out {run} holds a run with other options"),
    ("train {folders} --out {place}/empty.csv", "--out {place}/empty.csv holds something already"),
    ("train {folders} --seed 99999999999999999999 {random}", "--seed 99999999999999999999 is too large"),
    ("train {folders} --lr 0 {random}", "--lr 0.0: expected one positive number"),
    ("train {folders} --lr -1 {random}", "--lr -1.0: expected one positive number"),
    ("train {folders} --lr nan {random}", "--lr nan: expected one positive number"),
    ("predict {model} {folders} --device gpu", "--device 'gpu' is not a device"),
    ("predict {model} {folders} --backend onnx", "--backend 'onnx' is not one of torch, openvino"),
    ("predict {model} {folders} --csv {model}", "would write over what is read"),
    ("predict {model} {folders} --csv {place}/empty", "--csv {place}/empty is a folder"),
    ("predict {model} {folders} --csv {place}/empty.csv/out.csv", "{place}/empty.csv is a file"),
    ("evaluate {model} {folders} --device gpu", "--device 'gpu' is not a device"),
    ("evaluate {model} {folders} --backend onnx", "--backend 'onnx' is not one of torch, openvino"),
    ("convert {weights} --out {place}/empty", "--out {place}/empty is a folder"),
    ("bench {folders} --device gpu", "--device 'gpu' is not a device"),
    ("bench {folders} --json {place}/empty", "--json {place}/empty is a folder"),
    ("demo --device gpu", "--device 'gpu' is not a device"),
    ("demo --out {place}/texts", "{place}/texts holds something already"),
]
"""Settings that the machine or the job cannot have."""


@pytest.fixture(scope="module")
def places(finished_run, folders, table, tmp_path_factory):
    """Paths by the names that the command lines above use."""
    place = tmp_path_factory.mktemp("mistakes")
    model = finished_run / "model.safetensors"
    (place / "empty").mkdir()
    (place / "texts").mkdir()
    (place / "texts" / "a.txt").write_text("no picture")
    for name in ("a", "b"):
        (place / "broken" / name).mkdir(parents=True)
        for number in range(1, 6):
            (place / "broken" / name / f"{number}.png").write_bytes(b"this is no picture, nor was it %d" % number)
    draw(place / "single" / "cat" / "1.png", COLOURS["red"], seed=1)
    copytree(folders / "valid" / "red", place / "pets" / "cat")
    (place / "empty.csv").write_text("")
    (place / "binary.csv").write_bytes(bytes(range(256)) * 4)
    (place / "names.csv").write_text("file\n000\n001\n")
    (place / "blank.csv").write_text("file,label\n" + "".join(f"{i:03d},{'red' if i % 2 else ' '}\n" for i in range(12)))
    (place / "garbage.safetensors").write_bytes(b"\x08" * 200)
    (place / "garbage.pth").write_bytes(b"\x08" * 200)
    (place / "learner.pkl").write_bytes(b"\x80\x04.")
    (place / "cut.safetensors").write_bytes(model.read_bytes()[:-100])
    save_file({"weight": torch.zeros(3)}, place / "other.safetensors")
    weights = place / "weights.pth"
    from fastai_networks import of_timm

    torch.save(of_timm("test_resnet", 3).state_dict(), weights)
    return {"place": place, "folders": folders, "table": table, "model": model, "run": finished_run, "weights": weights}


def words_of(line: str, places: dict[str, Path]) -> list[str]:
    """The command line as arguments."""
    return [
        "" if word == "''" else word.format(**places, random=None)
        for part in line.split()
        for word in (RANDOM if part == "{random}" else [part])
    ]


def assert_one_message(text: str) -> None:
    """One paragraph that begins with what kind of error it is."""
    lines = [line for line in text.splitlines() if not line.startswith("Note: ")]
    assert re.match(r"\w*Error: \S", lines[0]), text
    assert sum(bool(re.match(r"\w*Error: ", line)) for line in lines) == 1, text
    assert all(line.strip() for line in lines), text
    assert "Traceback" not in text
    assert "bug in sightline" not in text
    assert lines[-1].rstrip()[-1] in ".?`)'", text


@pytest.mark.parametrize(("line", "said"), [*USAGE, *DATA, *MODELS, *SETTINGS])
def test_a_mistake_is_told_in_one_message_with_exit_code_2(line, said, places, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    code = run(*words_of(line, places))
    assert time.monotonic() - began < LONGEST_S
    text = capsys.readouterr().err
    assert code == 2, text
    assert_one_message(text)
    assert said.format(**places) in " ".join(text.split()), text


def test_there_are_enough_of_them():
    assert len({line for line, _ in (*USAGE, *DATA, *MODELS, *SETTINGS)}) >= 60

from fastai.vision.all import *

# Who trains, who validates.
path = Path(sys.argv[1]) / "folders"
items = get_image_files(path).sorted()
by_parent = GrandparentSplitter()(items)
report(by_parent=[len(p) for p in by_parent])
train, valid = RandomSplitter(valid_pct=0.25, seed=42)(items)
report(random=[list(train), list(valid)])
train, valid = EndSplitter(valid_pct=0.2)(items)
report(end=list(valid))
train, valid = IndexSplitter([1, 5, 9])(items)
report(index=list(valid), rest=len(train))
train, valid = FuncSplitter(lambda o: o.stem == "01")(items)
report(func=list(valid))
train, valid = MaskSplitter([i % 5 == 0 for i in range(len(items))])(items)
report(mask=list(valid))
train, valid = RandomSubsetSplitter(0.5, 0.25, seed=1)(items)
report(subset=[len(train), len(valid)])
train, valid = TrainTestSplitter(test_size=0.25, random_state=4, stratify=items.map(parent_label))(items)
report(tts=[len(train), len(valid)], tts_first=int(valid[0]))
(path / "valid.txt").write_text("\n".join(f.name for f in items[:2]))
train, valid = FileSplitter(path / "valid.txt")(items)
report(file=len(valid))
df = pd.DataFrame({"a": [1, 2, 3], "is_valid": [False, True, False]})
report(col=[list(p) for p in ColSplitter()(df)], col_on=[list(p) for p in ColSplitter("a", on=3)(df)])
report(
    read=ColReader("a", pref="x")(df.iloc[1]),
    item=ItemGetter(1)((5, 6)),
    attr=AttrGetter("stem")(items[0]),
    regex=RegexLabeller(r"(\d+).png$")(items[3]),
)
report(pipe=Pipeline([ItemGetter(0), lambda o: o + 1])((1, 2)))

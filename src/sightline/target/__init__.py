"""Target: what the labels are, and all that follows from it.

A target knows how labels become numbers, which loss fits them, how a network's outputs become probabilities, decisions and
labels again, and which metrics are shown by default. No other file asks which kind of target it has.

| target | labels | encoded | loss | activation | decision |
|---|---|---|---|---|---|
| SingleLabel | one name a picture | int64 `(N,)` | cross-entropy | softmax | the largest |
| MultiLabel | any number of names | float32 `(N, K)` of 0 and 1 | binary cross-entropy | sigmoid | above the threshold |
| Regression | one or several numbers | float32 `(N,)` or `(N, K)` | squared error | none | the value |
| Points | points (x, y) in the picture | float32 `(N, n, 2)`, K = 2 n | squared error | none | the value |

K is `num_outputs`, the number of the network's outputs.
"""

from sightline.target.base import Target
from sightline.target.names import MultiLabel, SingleLabel
from sightline.target.numbers import Points, Regression
from sightline.target.vocab import NOT_AVAILABLE, Vocab, is_blank

__all__ = ["NOT_AVAILABLE", "MultiLabel", "Points", "Regression", "SingleLabel", "Target", "Vocab", "is_blank"]

"""Data examined before it costs an epoch: what is wrong with pictures, labels and parts, as values."""

"""Backends: what may compute in place of PyTorch where nothing is learned."""

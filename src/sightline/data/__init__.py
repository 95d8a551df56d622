"""The data road: files -> Table -> samples -> Batch."""

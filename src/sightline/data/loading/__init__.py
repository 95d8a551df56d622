"""From rows to batches on the device."""

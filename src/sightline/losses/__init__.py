"""The loss in use, and the losses by name: from outputs and labels to what training descends."""

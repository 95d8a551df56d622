"""How pictures and batches look to people."""

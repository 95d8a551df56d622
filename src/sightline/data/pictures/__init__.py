"""One picture: found, read, decoded, brought to a size, kept in order."""

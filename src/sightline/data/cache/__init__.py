"""Kept pictures: each is decoded once, and read back as uint8 pixels by later epochs and later runs."""

"""Exact resume: a run that was killed, stopped or cut off goes on as if nothing had happened, in the middle of an epoch too."""

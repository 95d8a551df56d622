"""The library's own callbacks, by purpose; each declares in `resumes` what a run needs to go on where it stopped."""

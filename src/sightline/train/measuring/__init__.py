"""Measuring a job: how long each part of it takes, what limits it, and what the machine could do at best."""

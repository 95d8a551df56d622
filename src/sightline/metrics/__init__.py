"""Figures for people, computed over a whole validation set: functions, whole-set figures, torchmetrics."""

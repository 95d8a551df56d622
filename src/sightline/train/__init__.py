"""Training: the learner, its step, its optimizer, its schedules, and the callbacks that watch and change it."""

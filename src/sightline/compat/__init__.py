"""What only scripts written for fastai need; `sightline.fastai` hands it on, and nothing else uses it."""

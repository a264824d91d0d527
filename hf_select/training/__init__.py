"""Fitting seed, reference and final models on the same row view and masks as scoring."""

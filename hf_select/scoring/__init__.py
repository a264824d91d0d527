"""Scorers as `datasets` transforms, and the loss engine."""

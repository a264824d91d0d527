"""Evaluation suites and task definitions that hf_select ships (data files only)."""

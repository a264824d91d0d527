"""Jinja templates of the cards that hf_select writes (data files only)."""

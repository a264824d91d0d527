"""The embedded default: a drawn pool and a tiny VLM."""

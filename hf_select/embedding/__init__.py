"""Embedders: scorers whose column is one vector a row."""

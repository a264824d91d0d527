"""Writing instructions for chosen pictures."""

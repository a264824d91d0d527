"""Reading pools: public schemas to one row view, images, checks."""

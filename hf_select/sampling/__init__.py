"""Whole-pool decisions over scored columns: budgets, allocation, samplers, selections."""

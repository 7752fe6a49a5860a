"""Evaluation: restore, measure, tabulate."""

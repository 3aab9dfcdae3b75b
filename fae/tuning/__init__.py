"""Searches: what varies, the study that Optuna keeps, its trials, and what they found."""

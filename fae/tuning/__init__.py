"""Searches: search spaces, Optuna studies, their trials and results."""

"""Estimators on simulated runs whose truth is known."""

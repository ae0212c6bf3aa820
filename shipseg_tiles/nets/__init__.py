"""Nets, their losses and metrics, and the contract that stands beside trained weights."""

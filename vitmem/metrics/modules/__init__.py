"""Metrics over batches and ranks, for validation in training (torchmetrics)."""

"""Metrics: pure functions of stored predictions, and torchmetrics classes over sums."""

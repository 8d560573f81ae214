"""Edits, one per file; each works on every family of models."""

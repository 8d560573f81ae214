"""Edits, one a file; each works on every family of models."""

"""Contracts of plug-ins: one module per kind, each a list of clauses."""

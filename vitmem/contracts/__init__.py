"""Contracts that a plug-in has to keep: a module a kind, each a list of clauses."""

"""Edits of classifier files outside a suite, and their records."""

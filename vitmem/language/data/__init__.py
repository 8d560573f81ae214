"""Texts as rows of tokens: a synthetic language, passages, windows and documents."""

"""A synthetic language with a known set of skills, from recitation to reasoning."""

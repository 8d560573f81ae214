"""A synthetic language whose skills are known one by one, from recitation to reasoning."""

"""What is measured of text: pure functions of stored predictions."""

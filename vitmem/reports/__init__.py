"""Tables and figures: pure functions of rows. Does not import torch."""

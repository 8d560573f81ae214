"""Language models and the contract that they keep."""

"""Label-noise models, one a file: pure numpy, each with the generator it is given."""

"""vitmem: measure what a vision transformer has memorized and what is left when it is edited out."""

__version__ = "0.1.0"

"""Executors of a plan: local processes, Ray and SLURM."""

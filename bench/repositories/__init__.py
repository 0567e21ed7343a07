"""The feature repositories that the benchmarks apply."""

"""What Headrace costs and how fast it is: one module per benchmark, run by ``python -m bench``.

Invariant: a run that meets an error, or whose checks fail, leaves no figures.
"""

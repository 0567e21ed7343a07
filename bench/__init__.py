"""What Headrace costs and how fast it is: one module per benchmark, run by ``python -m bench``.

Invariant: a figure comes from real processes on this machine, and a run whose results are wrong has no figures.
"""

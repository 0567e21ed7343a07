"""A pytest plugin: Hypothesis tries the same examples each time, and does not shrink those that fail.

Whether a test catches a mutation must not depend on luck, and nobody reads the example.
"""

from hypothesis import Phase, settings

settings.register_profile("mutations", derandomize=True, database=None, phases=[Phase.explicit, Phase.generate])
settings.load_profile("mutations")

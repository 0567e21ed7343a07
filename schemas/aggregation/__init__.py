"""The algebra of aggregates: partials that merge in any order, and the functions that finish them."""

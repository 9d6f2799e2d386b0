"""How fast one interaction is, against what it could cost at best. `make bench` runs it; `docs` quote its report."""

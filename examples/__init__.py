"""Services that leak on purpose, each leak beside its mended twin, and a demo that finds them."""

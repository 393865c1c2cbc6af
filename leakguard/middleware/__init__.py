"""Where a request enters."""

"""The values and the registry that all parts share."""

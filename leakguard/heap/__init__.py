"""Look at what stayed behind: fork, walk, names, sizes, snapshots."""

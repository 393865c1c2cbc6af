"""Judge: series, suspects, advice."""

"""The open trace of one request: canaries, steps, gauges."""

"""What leakguard costs. `python -m benchmarks` runs all, `python -m benchmarks.NAME` one."""

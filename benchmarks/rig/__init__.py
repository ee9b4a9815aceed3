"""What every measured system shares: servers, clocks, workloads, the shape of a result."""

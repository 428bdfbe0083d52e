"""What a workload met: the same figures for a live house and for a simulated one."""

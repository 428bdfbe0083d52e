"""Drivers let a workload arrive at the live house, on time whatever it answers."""

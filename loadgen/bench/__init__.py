"""What the house itself costs: added latency, sustained throughput, the queue, an overload."""

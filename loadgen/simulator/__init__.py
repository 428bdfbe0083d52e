"""The house in virtual time: the same workloads, policies, feeders and batching as the live one."""

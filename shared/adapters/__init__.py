"""The ports of the house, kept by Kafka, Redis, memory and the system clock."""

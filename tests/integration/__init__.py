"""The adapters and the laptop's parts against real Redis and real Kafka."""

"""Apache Kafka through aiokafka: one producer a process, one consumer a subscription."""

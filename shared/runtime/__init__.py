"""What every process needs before it can work: settings, signals, health, logs."""

"""The scaler starts workers when the promise needs more, and lets them go when it does not."""

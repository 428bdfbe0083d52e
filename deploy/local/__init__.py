"""The whole house on a laptop, without Docker and without root."""

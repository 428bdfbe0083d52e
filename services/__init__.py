"""The processes of the house; each imports shared, none imports another."""

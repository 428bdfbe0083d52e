"""The ingress takes HTTP in, stamps the deadline and streams the answer out."""

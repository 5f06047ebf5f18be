"""What operators see of a server: its counts and its database's state, for Prometheus."""

"""Load tests against the service level objectives: locust scenarios and an open-loop generator."""

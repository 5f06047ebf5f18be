"""Tests of hpts.relay."""

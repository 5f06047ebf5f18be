"""Tests of the running system: processes that are started, loaded, killed and started again."""

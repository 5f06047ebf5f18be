"""Tests of the performance report: its arithmetic, its readers, its document, and a smoke run."""

"""Tests of hpts.demo."""

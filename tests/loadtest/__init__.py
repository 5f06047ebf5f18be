"""Tests of the load tests: their accounting, their judgement of answers, a moment of each."""

"""What an accountant reads: the chart, trial balances, statements, and all of it as tables."""

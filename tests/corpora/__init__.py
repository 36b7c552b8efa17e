"""Judge the guard by test data of others: what they call invalid is refused, what they expect passes."""

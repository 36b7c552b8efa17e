"""Which request asks for which call, whether it is permitted, and what a refusal looks like."""

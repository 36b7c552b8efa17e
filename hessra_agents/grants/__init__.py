"""Say what a capability grants: tools, what each argument must be, limits, approvals and labels."""

"""How many real injections each kind of authority stops, and what it costs in honest work and in questions.

AgentDojo's environments, tasks and verdicts, replayed without a model: the agent is fully hijacked, and every
call goes through the real guard. `banking`, `slack`, `travel` and `workspace` are the authority of each task,
written by hand from the user's prompt; the rest reads top to bottom in `plans`, `ladder`, `desk`, `replay`.
"""

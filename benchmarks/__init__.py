"""What hessra_agents costs, beside its peers, in one run: ``make bench``; ``python -m benchmarks --help``.

Read the ratios, not the microseconds: they hold on a loaded machine and on another one. How they are
made is in `clock`, and for calls over MCP in `latency`. Every operation is in `ours` or `peers`, and every
way of a call over MCP in `routes`; what the project wants to reach is in `targets`.
Nothing here is a test: no number ever fails a build.
"""

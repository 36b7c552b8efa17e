"""What hessra_agents costs, beside its peers, in one run: ``make bench``; ``--quick`` for a rough one.

Read the ratios, not the microseconds: they hold on a loaded machine and on another one. How they are
made is in `clock`; every operation is in `ours` or `peers`; what the project wants to reach is in `targets`.
Nothing here is a test: no number ever fails a build.
"""

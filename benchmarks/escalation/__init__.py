"""Cases of delegation that others published, on our guard and on theirs: ``python -m benchmarks.escalation``.

A parent may do much, the child that it delegates to may do little: what the parent's authority lets through
the child's must stop, and the child's own work must be done. `cases` and `multiagent` are the facts of the
cases: tools, arguments, bounds, and which calls belong to the task. `ours` and `theirs` take the same calls
to a body that runs or does not; `structure` attacks our tokens themselves, as `theirs` does with theirs.
`playing` counts what ran; `tables` and `markdown` tell it.

The facts are those of https://github.com/tenuo-ai/tenuo, benchmarks/escalation and benchmarks/multiagent, at
commit 4d6f26e8607fb4c2596300ed746bd8ac4afca2d9 (Apache-2.0). Texts that no verdict depends on are left out.
"""

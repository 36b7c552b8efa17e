"""JSON-RPC messages, and how they travel: lines, server-sent events, HTTP."""

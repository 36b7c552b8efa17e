"""Keep tokens and proofs out of the logs of the libraries that carry them.

The MCP SDK and its HTTP libraries write whole messages to their logs at level DEBUG, and unreadable ones with
a traceback. A filter on their loggers replaces everything that has the shape of a token or a proof.
"""

from __future__ import annotations

import logging
import re

__all__ = ["keep_tokens_out_of_logs", "redacted"]

_SECRET = re.compile(r"h[ap]1\\?\.[A-Za-z0-9_-]{16,}|[A-Za-z0-9_-]{64,}={0,2}")
_LIBRARIES = ("mcp", "httpx2", "httpcore2", "httpcore", "sse_starlette", "starlette", "uvicorn", "fastmcp")


def redacted(text: str) -> str:
    """Return the text without anything that has the shape of a token, a proof or an approval."""
    return _SECRET.sub("...", text)


class _Redacting(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; no record is dropped."""
        try:
            record.msg, record.args = redacted(record.getMessage()), ()
            if record.exc_info and not record.exc_text:
                record.exc_text = redacted(logging.Formatter().formatException(record.exc_info))
        except Exception:  # a record that cannot be formatted is not worth a token
            record.msg, record.args, record.exc_info = "a message that cannot be written", (), None
        return True


_REDACTING = _Redacting()


def keep_tokens_out_of_logs() -> None:
    """Redact what the loggers of these libraries write from now on; a second call changes nothing."""
    for name in [*logging.root.manager.loggerDict]:
        if name.partition(".")[0] in _LIBRARIES:
            logging.getLogger(name).addFilter(_REDACTING)

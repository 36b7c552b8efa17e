"""Define the desk's tools, plain functions over the shop, and what the desk is granted.

The tools check nothing. `granted` states once who may receive mail, which files may be read and how much
may be refunded; the guard enforces it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from anyio import to_thread

from ...grants.grants import Grant, grant
from ...grants.vocabulary.must import must
from .shop import TICKET, Row, Shop

__all__ = ["REPORT", "Tools", "granted"]

REPORT = "SELECT status, COUNT(*) AS orders FROM orders GROUP BY status"
"""The only SQL statement that the desk may run."""


class Tools:
    """The tools. Every result is an object or a list, so none reads like a refusal."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def all(self) -> tuple[Callable[..., Any], ...]:
        """Return every tool."""
        return (
            self.find_orders,
            self.get_customer,
            self.refund_order,
            self.send_email,
            self.read_file,
            self.list_files,
            self.fetch_page,
            self.query,
        )

    async def find_orders(
        self, customer_id: int, status: Literal["delivered", "shipped", "open"] | None = None
    ) -> list[Row]:
        """Return the orders of one customer; with a status, only those."""
        sql = "SELECT * FROM orders WHERE customer_id = ? AND status = coalesce(?, status) ORDER BY id"
        return await to_thread.run_sync(self._shop.rows, sql, customer_id, status)

    async def get_customer(self, customer_id: int) -> list[Row]:
        """Return the name, mail address and phone number of one customer."""
        sql = "SELECT * FROM customers WHERE id = ?"
        return await to_thread.run_sync(self._shop.rows, sql, customer_id)

    async def refund_order(self, order_id: int, cents: int) -> Row:
        """Pay back a sum for an order."""
        await to_thread.run_sync(self._shop.refund, order_id, cents)
        return {"order_id": order_id, "refunded_cents": cents}

    async def send_email(self, to: str, subject: str, body: str, bcc: str = "") -> Row:
        """Send a mail."""
        return {"sent": await to_thread.run_sync(self._shop.send, to, subject, body, bcc)}

    async def read_file(self, path: str) -> Row:
        """Read a text file, by its absolute path."""
        return {"path": path, "text": await to_thread.run_sync(self._shop.read, path)}

    def list_files(self, path: str) -> list[str]:
        """List a folder, by its absolute path."""
        return self._shop.names(path)

    async def fetch_page(self, url: str) -> Row:
        """Get a web page."""
        return {"url": url, "html": await to_thread.run_sync(self._shop.page, url)}

    async def query(self, sql: str) -> list[Row]:
        """Ask the database in SQL."""
        return await to_thread.run_sync(self._shop.rows, sql)


def granted(tools: Tools, root: str) -> tuple[Grant, ...]:
    """Return what the desk may do for this ticket. ``bcc`` is not granted."""
    public = must.under(f"{root}/public")
    status = must.optional(must.one_of("delivered", "shipped", "open"))
    return (
        grant(tools.find_orders, customer_id=must.at_least(1), status=status),
        grant(tools.get_customer, customer_id=must.at_least(1)),
        grant(tools.refund_order, order_id=must.at_least(1), cents=must.between(1, 5000)),
        grant(
            tools.send_email,
            to=must.email("acme.example", TICKET),
            subject=must.max_length(120),
            body=must.max_length(4000),
        ),
        grant(tools.read_file, path=public),
        grant(tools.list_files, path=public),
        grant(tools.fetch_page, url=must.url("help.acme.example")),
        grant(tools.query, sql=REPORT),
    )

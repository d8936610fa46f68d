"""Addresses, rotation and use of API keys; the audit log; usage per key and day.

Revision ID: 0005
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _key_columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("ip_rules", sa.Text, nullable=False, server_default="[]"),
        sa.Column("is_live", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("last_used_ms", sa.BigInteger),
        sa.Column("old_digest", sa.LargeBinary(32)),
        sa.Column("old_until_ms", sa.BigInteger),
        sa.Column("generation", sa.Integer, nullable=False, server_default="1"),
        sa.Column("version", sa.BigInteger, nullable=False, server_default="0"),
    )


def upgrade() -> None:
    """Add the columns and tables; on SQLite the audit log takes no change but new rows."""
    for column in _key_columns():
        op.add_column("api_keys", column)
    op.create_index("ix_api_keys_version", "api_keys", ["version"])
    _create_audit()
    op.create_table(
        "usage",
        sa.Column("key_id", sa.String(64), primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("user_id", sa.String(64), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("orders", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_usage_user_id", "usage", ["user_id", "day"])


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("user_id", sa.String(64), sa.ForeignKey("users.id"), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(64)),
        sa.Column("key_id", sa.String(64)),
        sa.Column("address", sa.String(64)),
        sa.Column("request_id", sa.String(64)),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
    )
    op.create_index("ix_audit_user_id", "audit", ["user_id", "time_ms"])
    if op.get_bind().dialect.name == "sqlite":
        for event in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{event.lower()} BEFORE {event} ON audit BEGIN "
                "SELECT RAISE(ABORT, 'the audit log only grows'); END"
            )


def downgrade() -> None:
    """Drop them again."""
    for table in ("usage", "audit"):
        op.drop_table(table)
    op.drop_index("ix_api_keys_version", "api_keys")
    with op.batch_alter_table("api_keys") as batch:
        for column in _key_columns():
            batch.drop_column(column.name)

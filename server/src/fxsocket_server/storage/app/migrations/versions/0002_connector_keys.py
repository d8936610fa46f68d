"""Connector keys: which terminal may dial in for which account.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "connector_keys",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("user_id", sa.String(64), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("account_id", sa.String(64), sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("revoked_ms", sa.BigInteger),
    )
    op.create_index("ix_connector_keys_user_id", "connector_keys", ["user_id"])
    op.create_index("ix_connector_keys_account_id", "connector_keys", ["account_id"])


def downgrade() -> None:
    """Drop it again."""
    op.drop_table("connector_keys")

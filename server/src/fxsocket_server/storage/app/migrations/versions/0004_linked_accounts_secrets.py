"""Accounts that are linked once and can be removed, a user's default account, sealed secrets.

Revision ID: 0004
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns and the table of secrets; terminals that were linked before stay linked."""
    op.add_column("users", sa.Column("default_account_id", sa.String(64)))
    op.add_column("accounts", sa.Column("link", sa.String(128)))
    op.add_column("accounts", sa.Column("removed_ms", sa.BigInteger))
    _name_links()
    op.create_index("uq_accounts_user_id_link", "accounts", ["user_id", "link"], unique=True)
    op.create_table(
        "secrets",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("user_id", sa.String(64), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("account_id", sa.String(64), sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("key_version", sa.Integer, nullable=False),
        sa.Column("key_id", sa.String(128), nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
    )
    op.create_index("uq_secrets_account_id_name", "secrets", ["account_id", "name"], unique=True)
    op.create_index("ix_secrets_key_id", "secrets", ["key_id"])
    op.create_index("ix_secrets_user_id", "secrets", ["user_id"])


def _name_links() -> None:
    accounts = sa.table("accounts", sa.column("id"), sa.column("body"), sa.column("link"))
    connection = op.get_bind()
    for account_id, text in connection.execute(sa.select(accounts.c.id, accounts.c.body)).all():
        body = json.loads(text)
        if body["kind"] == "TERMINAL":
            link = f"{body['login']}|{body['server']}"
            its = accounts.c.id == account_id
            connection.execute(sa.update(accounts).where(its).values(link=link))


def downgrade() -> None:
    """Take them away again."""
    op.drop_table("secrets")
    op.drop_index("uq_accounts_user_id_link", "accounts")
    for table, column in (
        ("accounts", "removed_ms"), ("accounts", "link"), ("users", "default_account_id"),
    ):  # fmt: skip
        op.drop_column(table, column)

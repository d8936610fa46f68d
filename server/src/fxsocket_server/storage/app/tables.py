"""The relational tables that are not hot. One schema serves SQLite and PostgreSQL."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

users = Table(
    "users",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", String(64), ForeignKey("users.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # JSON of model.account.Account
    Index("ix_accounts_user_id", "user_id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", String(64), ForeignKey("users.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("scope", Integer, nullable=False),
    Column("account_ids", Text),  # JSON list; NULL means every account of the user
    Column("default_account_id", String(64)),
    Column("created_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger),
    Column("expires_ms", BigInteger),
    Index("ix_api_keys_user_id", "user_id"),
)

connector_keys = Table(
    "connector_keys",
    metadata,
    Column("key", String(64), primary_key=True),  # the token's name; its secret is stored nowhere
    Column("user_id", String(64), ForeignKey("users.id"), nullable=False),
    Column("account_id", String(64), ForeignKey("accounts.id"), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger),
    Index("ix_connector_keys_user_id", "user_id"),
    Index("ix_connector_keys_account_id", "account_id"),
)

risk_rules = Table(
    "risk_rules",
    metadata,
    Column("kind", String(16), primary_key=True),  # account or key
    Column("subject_id", String(64), primary_key=True),
    Column("body", Text, nullable=False),  # JSON object of rule names and texts
)

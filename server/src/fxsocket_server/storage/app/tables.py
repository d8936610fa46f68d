"""The relational tables that are not hot. One schema serves SQLite and PostgreSQL."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
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
    Column("default_account_id", String(64)),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", String(64), ForeignKey("users.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # JSON of model.account.Account
    Column("link", String(128)),  # a terminal's login and server, while it is linked
    Column("removed_ms", BigInteger),
    Index("ix_accounts_user_id", "user_id"),
    Index("uq_accounts_user_id_link", "user_id", "link", unique=True),
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
    Column("ip_rules", Text, nullable=False, server_default="[]"),  # JSON list of CIDR texts
    Column("is_live", Boolean, nullable=False, server_default=false()),
    Column("last_used_ms", BigInteger),
    Column("old_digest", LargeBinary(32)),
    Column("old_until_ms", BigInteger),
    Column("generation", Integer, nullable=False, server_default="1"),
    Column("version", BigInteger, nullable=False, server_default="0"),  # of the newest change
    Index("ix_api_keys_user_id", "user_id"),
    Index("ix_api_keys_version", "version"),
)

audit = Table(
    "audit",
    metadata,
    Column("user_id", String(64), ForeignKey("users.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),  # 1, 2, 3... of each user
    Column("time_ms", BigInteger, nullable=False),
    Column("action", String(64), nullable=False),
    Column("target", String(64), nullable=False),
    Column("account_id", String(64)),
    Column("key_id", String(64)),  # NULL: the command line
    Column("address", String(64)),
    Column("request_id", String(64)),
    Column("details", Text, nullable=False),  # JSON object
    Column("hash", LargeBinary(32), nullable=False),  # of the row and the one before it
    Index("ix_audit_user_id", "user_id", "time_ms"),
)

usage = Table(
    "usage",
    metadata,
    Column("key_id", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),  # UTC, 2026-11-30
    Column("user_id", String(64), ForeignKey("users.id"), nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("orders", BigInteger, nullable=False),
    Index("ix_usage_user_id", "user_id", "day"),
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

secrets = Table(
    "secrets",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", String(64), ForeignKey("users.id"), nullable=False),
    Column("account_id", String(64), ForeignKey("accounts.id"), nullable=False),
    Column("name", String(32), nullable=False),  # password
    Column("key_version", Integer, nullable=False),  # counts its data keys
    Column("key_id", String(128), nullable=False),  # of the key-encryption key
    Column("sealed", Text, nullable=False),  # an envelope of security.vault
    Index("uq_secrets_account_id_name", "account_id", "name", unique=True),
    Index("ix_secrets_key_id", "key_id"),
    Index("ix_secrets_user_id", "user_id"),
)

"""What Rucio's generic schema takes as names, scopes, accounts and activities. Pure."""

from __future__ import annotations

# Rucio 41, rucio/common/schema/generic.py; the lengths are those of its database columns too.
ACCOUNT_LENGTH = 25
ACCOUNT_PATTERN = r"^[a-z0-9-_]+$"
SCOPE_LENGTH = 25
SCOPE_PATTERN = r"^[a-zA-Z_\-.0-9]+$"
NAME_LENGTH = 250
NAME_PATTERN = r"^[/A-Za-z0-9][/A-Za-z0-9\.\-_]*$"
RSE_LENGTH = 255
RSE_PATTERN = r"^([A-Z0-9]+([_-][A-Z0-9]+)*)$"
ATTRIBUTE_LENGTH = 255
ATTRIBUTE_KEY_PATTERN = r"^[A-Za-z0-9._-]+$"
# What an RSE expression can ask for; Rucio stores other values, but no expression finds them.
ATTRIBUTE_VALUE_PATTERN = r"^[A-Za-z0-9_-]+$"

ACTIVITIES = (
    "Analysis Input",
    "Analysis Output",
    "Data Brokering",
    "Data Challenge",
    "Data Consolidation",
    "Data Rebalancing",
    "Debug",
    "Express",
    "Functional Test",
    "Group Subscriptions",
    "Production Input",
    "Production Output",
    "Staging",
    "T0 Export",
    "T0 Tape",
    "Upload/Download (Job)",
    "Upload/Download (User)",
    "User Subscriptions",
)

METADATA_KEY_PATTERN = r"^[A-Za-z0-9_-]+$"
METADATA_LENGTH = 50  # of the columns that describe; a shorter few refuse what is longer
# What Rucio itself keeps of a DID, or does with it, under keys that look like metadata; the other columns of
# its table of DIDs (project, campaign …) describe, and keys that are no columns are JSON. Of a datatype Rucio
# takes those alone that an administrator has made known to it.
DID_COLUMNS = frozenset(
    {
        "access_cnt",
        "accessed_at",
        "account",
        "adler32",
        "availability",
        "bytes",
        "closed_at",
        "complete",
        "constituent",
        "created_at",
        "deleted_at",
        "did_type",
        "eol_at",
        "events",
        "expired_at",
        "guid",
        "hidden",
        "is_archive",
        "is_new",
        "is_open",
        "length",
        "lifetime",
        "md5",
        "monotonic",
        "name",
        "obsolete",
        "purge_replicas",
        "scope",
        "suppressed",
        "transient",
        "updated_at",
    }
)

# Columns of Rucio's table of RSEs: an expression KEY=VALUE with one of these looks at the column, not at
# the attribute of that name (rucio/core/rse.py, list_rses).
RSE_COLUMNS = frozenset(
    {
        "id",
        "rse",
        "vo",
        "rse_type",
        "deterministic",
        "volatile",
        "staging_area",
        "city",
        "region_code",
        "country_name",
        "continent",
        "time_zone",
        "ISP",
        "ASN",
        "longitude",
        "latitude",
        "availability",
        "availability_read",
        "availability_write",
        "availability_delete",
        "usage",
        "qos_class",
        "created_at",
        "updated_at",
        "deleted",
        "deleted_at",
    }
)

"""What ``GET /`` answers: the versions that the stand-in behaves like, and where things are. Pure."""

from __future__ import annotations

from typing import Any

ROOT: dict[str, Any] = {
    "delegation": {"major": 1, "minor": 0, "patch": 0},
    "api": {"major": 3, "minor": 13, "patch": 4},
    "core": None,
    "schema": {"major": 9, "minor": 1, "patch": 0},
    "_links": {
        "curies": [{"name": "fts", "href": "https://gitlab.cern.ch/fts/fts3"}],
        "fts:whoami": {"href": "/whoami", "title": "Check user certificate"},
        "fts:joblist": {
            "href": "/jobs{?vo_name,user_dn,dlg_id,state_in}",
            "title": "List of active jobs",
            "templated": True,
        },
        "fts:job": {
            "href": "/jobs/{id}",
            "title": "Job information",
            "templated": True,
            "hints": {"allow": ["GET", "DELETE"]},
        },
        "fts:configaudit": {"href": "/config/audit", "title": "Configuration"},
        "fts:submitschema": {"href": "/api-docs/schema/submit", "title": "JSON schema of messages"},
        "fts:apidocs": {"href": "/api-docs/", "title": "API Documentation"},
        "fts:jobsubmit": {
            "href": "/jobs",
            "hints": {"allow": ["POST"], "representations": ["fts:submitschema"]},
        },
        "fts:optimizer": {"href": "/optimizer/", "title": "Optimizer"},
        "fts:archive": {"href": "/archive/", "title": "Archive"},
    },
}

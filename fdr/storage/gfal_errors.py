"""gfal2's errors in words that can be counted. Pure."""

from __future__ import annotations

import errno
import re

HTTP_STATUS = re.compile(r"\bHTTP (\d{3})\b")
REASON_OF_STATUS = {
    401: "permission",
    403: "permission",
    404: "not-found",
    408: "timeout",
    412: "exists",
    413: "no-space",
    423: "busy",
    429: "busy",
    503: "busy",
    504: "timeout",
    507: "no-space",
}
REASON_OF_PHRASE = (
    (re.compile(r"checksum (mismatch|error)|checksums? do not match", re.IGNORECASE), "checksum"),
    (re.compile(r"timed out|operation expired|timeout", re.IGNORECASE), "timeout"),
    (re.compile(r"ssl handshake failed|certificate|\btls\b", re.IGNORECASE), "tls"),
    (re.compile(r"could not connect to server|connection refused", re.IGNORECASE), "connection-refused"),
    (re.compile(r"connection reset|broken pipe|socket error", re.IGNORECASE), "communication"),
    (re.compile(r"invalid address|domain name resolution", re.IGNORECASE), "unknown-host"),
    (re.compile(r"no space|quota", re.IGNORECASE), "no-space"),
    (re.compile(r"not a directory", re.IGNORECASE), "not-a-directory"),
)
REASON_OF_CODE = {
    errno.ENOENT: "not-found",
    errno.EEXIST: "exists",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
    errno.EROFS: "permission",
    errno.ENOSPC: "no-space",
    errno.EDQUOT: "no-space",
    errno.ECONNREFUSED: "connection-refused",
    errno.EHOSTDOWN: "connection-refused",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ETIMEDOUT: "timeout",
    errno.ESTALE: "timeout",
    errno.ECOMM: "communication",
    errno.ECONNRESET: "communication",
    errno.EPIPE: "communication",
    errno.ENOTDIR: "not-a-directory",
    errno.EISDIR: "is-a-directory",
    errno.ENOTSUP: "not-supported",
    errno.ENOSYS: "not-supported",
    errno.EPROTONOSUPPORT: "not-supported",
    errno.ECANCELED: "cancelled",
    errno.EIO: "io",
}
# A put that failed for one of these was never begun. Not among them: a refused connection, which a server
# that dies during a put ends in too, leaving half a file.
REFUSALS = frozenset(
    {
        "exists",
        "is-a-directory",
        "not-a-directory",
        "not-found",
        "not-supported",
        "permission",
        "tls",
        "unknown-host",
    }
)
NOT_REACHED = frozenset(
    {"communication", "connection-refused", "timeout", "tls", "unknown-host", "unreachable"}
)
BEFORE_SENDING = ("SOURCE", "DESTINATION EXISTS", "DESTINATION OVERWRITE", "DESTINATION MAKE_PARENT")
AFTER_SENDING = ("DESTINATION CHECKSUM", "Could not get the destination checksum", "Failed while writing")
SHORTEST_SECRET = 12  # a shorter token is no secret, and would be found in the middle of words
SECRET = re.compile(
    r"(authorization:\s*(?:\w+\s+)?|bearer\s+|authz=|access_token=|signature=)[^\s&\"',)]+", re.IGNORECASE
)
LONGEST_MESSAGE = 300


def reason_of(code: int, message: str) -> str:
    """Return the short fixed word for a gfal2 error.

    What the message says goes before the code: gfal2 gives EEXIST for some HTTP 403, EACCES for a time-out in
    a TLS handshake.
    """
    status = HTTP_STATUS.search(message)
    if status is not None:
        number = int(status.group(1))
        return REASON_OF_STATUS.get(number, "server-error" if number >= 500 else f"http-{number}")
    for phrase, reason in REASON_OF_PHRASE:
        if phrase.search(message):
            return reason
    return REASON_OF_CODE.get(code, errno.errorcode.get(code, "unknown").lower())


def was_never_begun(reason: str, message: str) -> bool:
    """Tell whether a put that failed like this cannot have written anything."""
    if message.startswith(AFTER_SENDING):
        return False
    return reason in REFUSALS or message.startswith(BEFORE_SENDING)


def plain(message: str, secret: str | None = None) -> str:
    """Return a message for people: one line, of bounded length, without tokens."""
    text = message.replace("\\x00", "").replace("\x00", "").replace("\\n", " ")
    if secret and len(secret) >= SHORTEST_SECRET:
        text = text.replace(secret, "…")
    text = SECRET.sub(r"\1…", text)
    return " ".join(text.split())[:LONGEST_MESSAGE]

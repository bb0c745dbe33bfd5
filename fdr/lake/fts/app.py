"""FTS3's REST interface over HTTP, and a few requests of fdr's own below ``/fdr``."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fdr.lake.fts.answers import STORED_JOB_FIELDS, Owner, files_text, job_text, unknown_job
from fdr.lake.fts.dispatcher import Dispatcher, utc_now
from fdr.lake.fts.faults import Faults, fault_from
from fdr.lake.fts.job import Job, Link
from fdr.lake.fts.root import ROOT
from fdr.lake.fts.store import Duplicate, Store
from fdr.lake.fts.submission import Refusal, job_from

LARGEST_LISTING = 500
FOUND: Mapping[str, Any] = {"http_status": "200 Ok"}
CHANGED: Mapping[str, Any] = {"http_status": "200 Ok", "http_message": None}
FINAL: Mapping[str, Any] = {
    "http_status": "304 Not Modified",
    "http_message": "The job is in a terminal state",
}


class Api:
    """The requests; each method answers one."""

    def __init__(self, owner: Owner, store: Store, dispatcher: Dispatcher, faults: Faults) -> None:
        """Take what the answers are made from."""
        self._owner = owner
        self._store = store
        self._dispatcher = dispatcher
        self._faults = faults

    async def root(self, request: Request) -> Response:
        """Answer ``GET /``: versions and links."""
        return JSONResponse(ROOT)

    async def whoami(self, request: Request) -> Response:
        """Answer ``GET /whoami``."""
        return JSONResponse(self._owner.whoami())

    async def submit(self, request: Request) -> Response:
        """Answer ``POST /jobs`` and ``PUT /jobs``."""
        job = job_from(await _body(request), self._owner.vo, utc_now(), self._store.banned())
        try:
            self._dispatcher.submit(job)
        except Duplicate as error:
            raise Refusal(409, "The sid provided by the user is duplicated") from error
        return JSONResponse({"job_id": job.job_id})

    async def jobs(self, request: Request) -> Response:
        """Answer ``GET /jobs``: those that have not ended, or the last ones in given states."""
        states = tuple(filter(None, request.query_params.get("state_in", "").split(",")))
        limit = request.query_params.get("limit")
        count = int(limit) if limit is not None and limit.isdecimal() else None
        if count is not None and count > LARGEST_LISTING:
            raise Refusal(400, "The limit must be positive and less or equal than 500")
        found = self._store.unfinished(states, count)
        return _array([job_text(job, self._owner, {}) for job in found])

    async def job(self, request: Request) -> Response:
        """Answer ``GET /jobs/ID[,ID…]``, with files where ``files=`` names fields of them."""
        wanted = [name for name in request.query_params.get("files", "").split(",") if name]
        answers: list[str] = []
        unknown = 0
        ids = request.path_params["ids"].split(",")
        for job_id in filter(None, ids):
            job = self._store.get(job_id)
            if job is None:
                unknown += 1
                answers.append(json.dumps(unknown_job(job_id)))
            else:
                files = files_text(job.files, self._owner, wanted) if wanted else None
                answers.append(job_text(job, self._owner, FOUND, files))
        if len(ids) == 1 and answers:
            return _text(answers[0], 404 if unknown else 200)
        return _array(answers, 207 if unknown else 200)

    async def files(self, request: Request) -> Response:
        """Answer ``GET /jobs/ID/files``."""
        return _text(files_text(self._known(request).files, self._owner))

    async def field(self, request: Request) -> Response:
        """Answer ``GET /jobs/ID/FIELD``."""
        job, name = self._known(request), request.path_params["field"]
        if name not in STORED_JOB_FIELDS:
            raise Refusal(404, "No such field")
        return JSONResponse(getattr(job, name))

    async def cancel(self, request: Request) -> Response:
        """Answer ``DELETE /jobs/ID[,ID…]``."""
        return self._each(request, lambda job: job_text(self._dispatcher.cancel(job), self._owner, CHANGED))

    async def modify(self, request: Request) -> Response:
        """Answer ``POST /jobs/ID[,ID…]``: another priority is all that can be asked for."""
        body = await _body(request)
        try:
            priority = int(body["params"]["priority"])
        except KeyError:
            priority = 0
        except (TypeError, ValueError) as error:
            raise Refusal(400, "Invalid priority value") from error

        def change(job: Job) -> str:
            if not priority:
                return job_text(job, self._owner, CHANGED)
            job = self._dispatcher.prioritise(job, priority)
            return job_text(job, self._owner, CHANGED, files_text(job.files, self._owner))

        return self._each(request, change)

    async def banned(self, request: Request) -> Response:
        """Answer ``GET /ban/se``."""
        return JSONResponse(
            [
                {"se": se, "message": message, "status": status, "addition_time": since, "vo": self._owner.vo}
                for se, (message, status, since) in self._store.banned().items()
            ]
        )

    async def ban(self, request: Request) -> Response:
        """Answer ``POST /ban/se``: the jobs of a storage that is to be banned are canceled, or may end."""
        body = await _body(request)
        storage = body.get("storage") if isinstance(body, dict) else None
        if not storage:
            raise Refusal(400, "Missing storage parameter")
        status = str(body.get("status", "CANCEL")).upper()
        if status not in ("CANCEL", "WAIT"):
            raise Refusal(400, "status can only be CANCEL or WAIT")
        self._store.ban(storage, str(body.get("message", "")), status, utc_now())
        if status == "WAIT":
            return JSONResponse([])
        affected = self._store.touching(storage)
        for job in filter(None, map(self._store.get, affected)):
            if not job.is_final:
                self._dispatcher.cancel(job)
        return JSONResponse(affected)

    async def unban(self, request: Request) -> Response:
        """Answer ``DELETE /ban/se?storage=…``."""
        storage = request.query_params.get("storage")
        if not storage:
            raise Refusal(400, "Missing storage parameter")
        self._store.unban(storage)
        return Response(status_code=204, media_type="application/json")

    async def limit(self, request: Request) -> Response:
        """Answer ``POST /config/links``: the most transfers at once on one link, until a restart."""
        body = await _body(request)
        try:
            link, most = Link(body["source"], body["destination"]), int(body["max_active"])
        except (KeyError, TypeError, ValueError) as error:
            raise Refusal(400, f"Missing parameter: {error}") from error
        self._dispatcher.limit(link, most)
        return Response(json.dumps(body), 201, media_type="text/html")

    async def faults(self, request: Request) -> Response:
        """Answer ``GET``, ``PUT`` and ``DELETE /fdr/links``: what is wrong with the links."""
        if request.method == "PUT":
            self._faults.tell(fault_from(await _body(request)))
        elif request.method == "DELETE":
            self._faults.mend(request.query_params.get("src"), request.query_params.get("dst"))
        return JSONResponse(self._faults.listed())

    async def stats(self, request: Request) -> Response:
        """Answer ``GET /fdr/stats``: what was copied which way since the start, what runs and what waits."""
        return JSONResponse(self._dispatcher.stats())

    def _known(self, request: Request) -> Job:
        job_id = request.path_params["id"]
        job = self._store.get(job_id)
        if job is None:
            raise Refusal(404, unknown_job(job_id)["http_message"])
        return job

    def _each(self, request: Request, change: Callable[[Job], str]) -> Response:
        """Answer for every job named: first those that cannot be changed, then those that were."""
        ids = request.path_params["ids"].split(",")
        refused: list[str] = []
        changed: list[str] = []
        unknown = 0
        for job_id in filter(None, ids):
            job = self._store.get(job_id)
            if job is None:
                unknown += 1
                refused.append(json.dumps(unknown_job(job_id)))
            elif job.is_final:
                refused.append(job_text(job, self._owner, FINAL))
            else:
                changed.append(change(job))
        answers = refused + changed
        if len(ids) == 1 and answers:
            return _text(answers[0], 404 if unknown else 200)
        return _array(answers, 207 if unknown else 200)


def make_app(
    api: Api, lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None
) -> Starlette:
    """Return the application."""

    def route(path: str, answer: Callable[[Request], Awaitable[Response]], *methods: str) -> Route:
        return Route(path, answer, methods=list(methods))

    return Starlette(
        routes=[
            route("/", api.root, "GET"),
            route("/whoami", api.whoami, "GET"),
            route("/jobs", api.jobs, "GET"),
            route("/jobs", api.submit, "POST", "PUT"),
            route("/jobs/{ids}", api.job, "GET"),
            route("/jobs/{ids}", api.cancel, "DELETE"),
            route("/jobs/{ids}", api.modify, "POST"),
            route("/jobs/{id}/files", api.files, "GET"),
            route("/jobs/{id}/{field}", api.field, "GET"),
            route("/ban/se", api.banned, "GET"),
            route("/ban/se", api.ban, "POST"),
            route("/ban/se", api.unban, "DELETE"),
            route("/config/links", api.limit, "POST"),
            route("/fdr/links", api.faults, "GET", "PUT", "DELETE"),
            route("/fdr/stats", api.stats, "GET"),
        ],
        exception_handlers={Refusal: _refused, HTTPException: _not_found},
        lifespan=lifespan,
    )


async def _body(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError as error:
        raise Refusal(400, "Badly formatted JSON request") from error


async def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    return _error(refusal.status, refusal.message)


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail)


def _error(status: int, message: str) -> Response:
    return JSONResponse({"status": f"{status} {HTTPStatus(status).phrase}", "message": message}, status)


def _array(texts: list[str], status: int = 200) -> Response:
    return _text("[" + ",".join(texts) + "]", status)


def _text(text: str, status: int = 200) -> Response:
    return Response(text, status, media_type="application/json")

"""The routes: the page, uploads, what becomes of them, and downloads."""

import re
from collections.abc import Collection
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from shipseg_tiles.inference.options import PredictOptions
from shipseg_tiles.serving.guard import Guard
from shipseg_tiles.serving.tasks import KEEP_SECONDS, Task, TaskQueue
from shipseg_tiles.serving.uploads import Limits, RefusedError, checked_image, receive, shown_name

_STATIC = Path(__file__).with_name("static")

_DOWNLOADS = {"mask": "{stem}_mask{suffix}", "csv": "{stem}.csv", "geojson": "{stem}.geojson"}
"""What files are called when they are downloaded; all others are shown on the page."""

_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]")

_TYPES = {".csv": "text/csv", ".geojson": "application/geo+json"}


def build_app(tasks: TaskQueue, options: PredictOptions, limits: Limits, hosts: Collection[str]) -> Starlette:
    """Build the application.

    Args:
        tasks: Where images are put.
        options: How they are predicted.
        limits: Of uploads.
        hosts: Where the server listens, see `Guard`.
    """
    site = _Site(tasks, options, limits)
    routes = [
        Route("/", site.page),
        Route("/tasks", site.upload, methods=["POST"]),
        Route("/tasks/{id}", site.state),
        Route("/tasks/{id}/{file}", site.file),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]
    handlers = {
        RefusedError: _refused,
        HTTPException: _http_error,
        ClientDisconnect: _nobody_there,
        Exception: _broken,
    }
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, hosts=hosts)],
        exception_handlers=handlers,  # type: ignore[arg-type]  # a handler takes the errors that it is there for
    )
    app.router.redirect_slashes = False
    return app


class _Site:
    """What answers requests."""

    def __init__(self, tasks: TaskQueue, options: PredictOptions, limits: Limits) -> None:
        self._tasks = tasks
        self._options = options
        self._limits = limits
        templates = Environment(loader=PackageLoader("shipseg_tiles.serving"), autoescape=select_autoescape())
        minutes = round(KEEP_SECONDS / 60)
        self._page = templates.get_template("page.html").render(limits=limits, minutes=minutes)

    async def page(self, _: Request) -> Response:
        return HTMLResponse(self._page)

    async def upload(self, request: Request) -> Response:
        """Take in an image; its name is in the query, its file is the body."""
        task = self._tasks.open(shown_name(request.query_params.get("name", "")))
        try:
            await receive(request, task.path, task.name, self._limits)
            task.path = await run_in_threadpool(checked_image, task.path, task.name, self._options, self._limits)
        except BaseException:  # also if the client has gone, or the server ends
            self._tasks.drop(task)
            raise
        self._tasks.submit(task)
        return JSONResponse({"id": task.id, "name": task.name}, 201, {"location": f"/tasks/{task.id}"})

    async def state(self, request: Request) -> Response:
        """Say what has become of an image so far."""
        task = self._found(request)
        told: dict[str, Any] = {"name": task.name, "state": task.state}
        if task.state == "waiting":
            told["position"] = self._tasks.position(task)
        elif task.state == "running":
            told["done"], told["total"] = task.progress
        elif task.state == "failed":
            told["error"] = task.error
        elif task.result:
            told |= task.result.data
        return JSONResponse(told, headers={"cache-control": "no-store"})

    async def file(self, request: Request) -> Response:
        """Send one of the files of a result."""
        task, kind = self._found(request), request.path_params["file"]
        path = task.result.files.get(kind) if task.result else None
        if path is None:
            raise HTTPException(404)
        if kind not in _DOWNLOADS:
            return FileResponse(path)
        name = _DOWNLOADS[kind].format(stem=PurePath(task.name).stem, suffix=path.suffix)
        answer = FileResponse(path, media_type=_TYPES.get(path.suffix), filename=name)
        if quote(name) != name:  # Starlette has sent it as `filename*` alone, which not every program reads
            answer.headers["content-disposition"] += f'; filename="{_UNUSUAL.sub("_", name)}"'
        return answer

    def _found(self, request: Request) -> Task:
        task = self._tasks.find(request.path_params["id"])
        if task is None:
            raise HTTPException(404, "there is no such result, or it is not kept any more; send the image again")
        return task


async def _refused(_: Request, error: RefusedError) -> Response:
    return JSONResponse({"error": str(error)}, error.status)


async def _http_error(_: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _broken(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": "something is wrong with the server, not with the image"}, 500)


async def _nobody_there(_: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=400)  # which nobody reads

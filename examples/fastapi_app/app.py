"""
The FastAPI service, with leakguard installed.

Run it from the repository's root:

    LEAKGUARD_TOKEN=secret uvicorn examples.fastapi_app.app:app
"""

import os

from fastapi import FastAPI

from leakguard import LeakGuard

from . import caches, closures, connections, listeners, sockets, streams, tasks, timers

app = FastAPI(title="Leaks and their mended twins")
for part in (listeners, connections, caches, closures, timers, tasks, streams, sockets):
    app.include_router(part.router)


@app.get("/")
async def index() -> dict[str, str]:
    return {"service": app.title}


@app.get("/orders/{order_id}")
async def order(order_id: int) -> dict[str, int]:
    return {"order": order_id}


# What is not set here is read from LEAKGUARD_… variables, such as LEAKGUARD_INTERVAL_S.
# Without a token the service runs all the same, and /debug/memory answers 404.
guard = LeakGuard(token=os.environ.get("LEAKGUARD_TOKEN"))
guard.watch(sockets.room, add="subscribe", remove="unsubscribe")
guard.install(app)

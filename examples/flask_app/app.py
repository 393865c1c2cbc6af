"""
The Flask service, with leakguard installed.

Run it from the repository's root:

    LEAKGUARD_TOKEN=secret gunicorn -k gthread --threads 4 examples.flask_app.app:app
"""

import os

from flask import Flask

from leakguard import LeakGuard

from . import caches, closures, connections, listeners, streams, timers

app = Flask(__name__)
for part in (listeners, connections, caches, closures, timers, streams):
    app.register_blueprint(part.pages)


@app.get("/")
def index() -> dict[str, str]:
    return {"service": "Leaks and their mended twins"}


@app.get("/orders/<int:order_id>")
def order(order_id: int) -> dict[str, int]:
    return {"order": order_id}


# What is not set here is read from LEAKGUARD_… variables, such as LEAKGUARD_INTERVAL_S.
# Without a token the service runs all the same, and /debug/memory answers 404.
guard = LeakGuard(token=os.environ.get("LEAKGUARD_TOKEN"))
guard.install(app)

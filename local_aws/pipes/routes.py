"""``POST /_local/pipes/flush``: send at once what waits for a batch to fill up. A call of local AWS alone."""

import json

from werkzeug.wrappers import Request, Response

from local_aws.pipes.engine import Engine

_PATIENCE_SECONDS = 60.0


def flush(engine: Engine, request: Request) -> Response:
    """``?name=`` flushes one pipe, else all that run. Answers ``{"Flushed": number}`` once each has dealt
    with all that its stream held when it was asked; 504 when one has not within a minute.
    """
    if request.method != "POST":
        return Response("POST flushes\n", status=405)
    name = request.args.get("name")
    runner = engine.runner(name) if name else None
    if name and runner is None:
        return Response(f"pipe {name}: no such pipe runs\n", status=404)
    runners = engine.runners() if runner is None else [runner]
    if not all(runner.flush(_PATIENCE_SECONDS) for runner in runners):
        return Response("a pipe did not get through within a minute\n", status=504)
    return Response(json.dumps({"Flushed": len(runners)}), content_type="application/json")

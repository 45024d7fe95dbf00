"""The HTTP API: events in, scans started and read, requests of subjects.  It holds no state.

``app.create_app(services)`` makes the application. What is asked of AWS is a Protocol in ``services``, which
a resource fits by shape; ``server`` is the one module that puts resources in.

A router is added so:

1. a module in ``routes`` with ``router(services) -> fastapi.APIRouter``, named in ``app._ROUTERS``; what it
   needs is a field of ``services.Services``;
2. who may call: ``caller: Annotated[Caller, require("dsar:read")]`` of ``auth`` gives client id, scopes and
   buckets. Scopes are declared in ``clients.SCOPES``;
3. a body: ``await read(request, Model)`` of ``body`` (limits of size and depth, 422 with a pointer a field)
   and ``openapi_extra=described(Model)``, so that it is in the documentation;
4. what can go wrong: ``raise Problem(404, "no such request")`` of ``problems``, and
   ``responses=problems.responses(404)`` so that it is documented; 401, 403, 429, 500 and 503 are there by
   ``require``. A detail names fields and limits, never what a field holds;
5. a POST that creates: ``return await once(services, request, caller, create)`` of ``idempotency``, where
   ``create(ids)`` answers a response and takes each new identifier from ``ids``, so that a request that was
   broken off and comes again creates the same thing;
6. blocking calls go through ``services.call(function, …)``, which tells AWS's trouble as 503.
"""

# SPDX-License-Identifier: GPL-2.0-or-later
"""
An application for hypercorn that writes down, one line each, every Host or :authority it is asked
for. It does not wait for a body: hypercorn never tells an application that the client ended in the
middle of one. Behind a body that was not read hypercorn takes no request.
"""

import os


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    names = [value.decode("latin-1") for key, value in scope["headers"]
             if key in (b"host", b":authority")]
    os.write(1, "".join(f"{name}\n" for name in names or ["-"]).encode())
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"seen\n"})

"""HTTP hello as an asyncio Protocol: callbacks, no coroutine. `uvloop` as argument: on uvloop."""

import asyncio
import sys

import hello


class Hello(asyncio.Protocol):
    __slots__ = ("requests", "transport")

    def connection_made(self, transport):
        self.transport = transport
        self.requests = hello.Requests()

    def data_received(self, data):
        if answer := self.requests.responses(data):
            self.transport.write(answer)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Hello, "127.0.0.1", 0, backlog=hello.BACKLOG)
    hello.announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()


hello.prepare()
if "uvloop" in sys.argv:
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())

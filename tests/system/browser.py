"""A headless Chromium, driven through its debugging pipe: no port, no further package."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

DEADLINE_S: Final = 60.0
_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


class NavigatedError(RuntimeError):
    """The tab could not answer."""


class Page:
    """One tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        return await self._browser.call(method, self._session, **params)

    async def js(self, expression: str) -> Any:  # noqa: ANN401 - whatever the page answers
        """Return the value of an expression in the page."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:  # noqa: ANN401
        """Wait until an expression is true in the page; return its value."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                # A page that is being left answers with an error.
                with suppress(NavigatedError):
                    if value := await self.js(expression):
                        return value
                await asyncio.sleep(0.05)

    async def text(self, selector: str) -> str:
        found = await self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        return str(found)

    async def texts(self, selector: str) -> list[str]:
        query = f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.innerText)"
        return [str(text) for text in await self.js(query)]

    async def size(self, width: int, height: int, *, phone: bool = False) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )

    async def screenshot(self, file: Path, *, whole: bool = False) -> None:
        answer = await self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        await asyncio.to_thread(file.write_bytes, base64.b64decode(answer["data"]))

    async def go(self, address: str) -> None:
        await self.call("Page.navigate", url=address)


class Browser:
    """The process and its pipe."""

    def __init__(self, reader: asyncio.StreamReader, write_fd: int) -> None:
        self._reader = reader
        self._write_fd = write_fd
        self._number = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.errors: list[str] = []

    async def call(self, method: str, session: str = "", **params: object) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = answer
        os.write(self._write_fd, json.dumps(message).encode() + b"\0")
        async with asyncio.timeout(DEADLINE_S):
            return await answer

    async def listen(self) -> None:
        """Take answers until the browser is gone; keep what goes wrong inside the page."""
        while True:
            try:
                raw = await self._reader.readuntil(b"\0")
            except asyncio.IncompleteReadError:
                return
            message = json.loads(raw[:-1])
            waiting = self._waiting.pop(message.get("id", 0), None)
            if waiting is not None:
                if "error" in message:
                    waiting.set_exception(NavigatedError(str(message["error"])))
                else:
                    waiting.set_result(message["result"])
            elif message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(message["params"]["exceptionDetails"]))

    async def page(self) -> Page:
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        page = Page(self, attached["sessionId"])
        for domain in ("Page", "Runtime"):
            await page.call(f"{domain}.enable")
        return page


@asynccontextmanager
async def chromium(profile: Path) -> AsyncIterator[Browser]:
    """Run a browser with a new profile; fails loudly if Chromium is not installed."""
    to_browser, we_write = os.pipe()
    we_read, from_browser = os.pipe()
    command = shlex.join(["chromium", *_FLAGS, f"--user-data-dir={profile}", "about:blank"])
    # The debugging pipe is descriptors 3 and 4.
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f"exec {command} 3<&{to_browser} 4>&{from_browser}",
        pass_fds=(to_browser, from_browser),
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    loop = asyncio.get_running_loop()
    pipe = os.fdopen(we_read, "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    browser = Browser(reader, we_write)
    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(browser.listen())
        try:
            yield browser
        finally:
            process.kill()
            await process.wait()
            listening.cancel()
            transport.close()
            os.close(we_write)

"""The live page in a real browser over the real services: what the operator sees."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from alarms.events import State
from sensors.quality import Quality
from tests.gateway.api.pretend import LiveMine, row
from tests.system.browser import Browser, Page, chromium
from tests.system.served_mine import ServedMine, served_mine

ZONE_NAMES = "#zones h3"


@dataclass
class Watched:
    mine: ServedMine
    browser: Browser
    page: Page


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Watched]:
    """Open the page with a token in its address, as `firedamp demo` prints it."""
    async with served_mine(folder) as mine, chromium(folder / "profile") as browser:
        page = await browser.page()
        await page.size(1400, 1000)
        await page.go(f"{mine.address}/?lang=en#token={mine.token}")
        await page.until("document.querySelectorAll('.point').length > 50")
        yield Watched(mine, browser, page)
        assert browser.errors == []


def evacuation(mine: ServedMine, live: LiveMine) -> None:
    live.reads(mine.point("T1-101.gas"), 1.73)
    live.reads(mine.point("CO-101.gas"), float("nan"), Quality.COMMS_LOST)
    live.reads(mine.point("T1-201.gas"), 0.31, Quality.STALE, age_s=71.0)
    live.alarm("T1-101.gas/withdraw", seq=2, value=1.55, age_s=40.0)
    live.alarm("T1-101.gas/alarm", State.ACKED, seq=1, value=1.02, age_s=95.0)
    live.acks = {"T1-101.gas/alarm": {"actor": "Li Wei", "t_ns": live.t_ns}}
    live.alarm("CO-101.gas/fault", seq=3)
    live.committed_seq = 2
    columns = live.arrays
    names = [output.id for output in live.plan.outputs]
    columns["output_commanded"][names.index("evacuate-LW101")] = 1
    columns["output_commanded"][names.index("power-LW101")] = 1


@pytest.mark.timeout(300)
async def test_the_operator_sees_an_evacuation_a_silent_core_and_a_lost_connection(
    tmp_path: Path,
) -> None:
    async with watched(tmp_path) as seen:
        page, mine = seen.page, seen.mine
        await a_quiet_mine(page, mine)
        mine.draw = lambda live: evacuation(mine, live)
        await an_evacuation(page)
        await what_is_not_known(page)
        await chinese(page)
        await a_silent_core(page, mine)
        await a_lost_connection(page, mine)


async def a_quiet_mine(page: Page, mine: ServedMine) -> None:
    assert await page.js("location.hash") == ""  # the token is out of sight
    plan = mine.services.sources.book.plan
    assert await page.texts(ZONE_NAMES) == [zone.name or zone.id for zone in plan.zones]
    count = len(plan.points)
    assert await page.text("#alarms .none") == f"No alarms. {count} of {count} points good."
    assert await page.text("#must-leave p") == "No withdrawal is ordered."
    assert "hardware lock-outs" in await page.text("#supervisory")
    assert await page.js("document.querySelector('#lost').hidden")
    # Grey when normal: no mark is painted anywhere.
    assert await page.js("document.querySelectorAll('main .mark path').length") == 0


async def an_evacuation(page: Page) -> None:
    await page.until("document.querySelectorAll('tr.alarm').length === 3")
    assert await page.texts(".leaving .where") == ["Longwall 101 face"]
    assert await page.texts(".leaving .people") == ["12 people counted"]
    assert (await page.texts(ZONE_NAMES))[:2] == ["Longwall 101 face", "Longwall 101 return"]
    assert "LEAVE: 1 zone" in await page.text("#summary")
    assert (await page.js("document.title")).startswith("Leave!")
    first = await page.text("tr.alarm")
    for words in (
        "NOT ACKNOWLEDGED",
        "Methane over limit",
        "1.73 %vol",
        "1.55 %vol",
        "≥ 1.50 %vol",
    ):
        assert words in first
    assert "cn-coal-2025" in first
    assert "checked against the law: partly" in first
    marks = await page.js(
        "[...document.querySelectorAll('tr.alarm .mark')].map((m) => m.dataset.priority)"
    )
    assert marks == ["1", "2", "F"]
    states = await page.texts("tr.alarm td.state")
    assert states == [
        "NOT ACKNOWLEDGED",
        "Acknowledged",
        "NOT ACKNOWLEDGED; not yet on disk",
    ]
    assert "Li Wei" in (await page.texts("tr.alarm td.ack"))[1]
    assert (await page.texts("tr.disagrees td.readback")) == ["off DISAGREES"] * 2
    assert (await page.texts("tr.still-live td.feed")) == ["live"]
    announced = await page.js("document.querySelector('#announce').textContent")
    assert "Longwall 101 face" in announced


async def what_is_not_known(page: Page) -> None:
    """A dash for what is missing, brackets and its age for what is stale; never 0."""
    lost = ".point[data-key='CO-101.gas']"
    assert await page.text(f"{lost} .value") == "—"
    assert await page.text(f"{lost} .quality") == "NO ANSWER"
    stale = ".point[data-key='T1-201.gas']"
    assert await page.text(f"{stale} .value") == "[0.31]"
    assert await page.text(f"{stale} .quality") == "STALE"
    assert (await page.text(f"{stale} .age")).startswith("7")
    outline = await page.js(f'getComputedStyle(document.querySelector("{stale}")).outlineStyle')
    assert outline == "dashed"


async def chinese(page: Page) -> None:
    choose = "const s = document.querySelector('#language'); s.value = '{0}'; "
    change = "s.dispatchEvent(new Event('change'))"
    await page.js("{" + choose.format("zh") + change + "}")
    assert await page.text("#must-leave h2") == "须撤离人员"
    assert await page.text(".leaving b") == "立即撤离"
    assert "硬件断电闭锁" in await page.text("#supervisory")
    await page.js("{" + choose.format("en") + change + "}")


async def a_silent_core(page: Page, mine: ServedMine) -> None:
    mine.silent = True
    await page.until("!document.querySelector('#core').hidden")
    assert "GATEWAY CORE SILENT" in await page.text("#core")
    assert "Alarms are NOT being raised" in await page.text("#core")
    assert "Normal" not in await page.texts(".zone .level")
    assert await page.texts(".leaving .where") == ["Longwall 101 face"]  # stays ordered
    mine.silent = False
    await page.until("document.querySelector('#core').hidden")


async def a_lost_connection(page: Page, mine: ServedMine) -> None:
    mine.services.stopping.set()
    await page.until("!document.querySelector('#lost').hidden")
    lost = await page.text("#lost")
    assert "CONNECTION LOST" in lost
    assert "What you see is OLD" in lost
    assert await page.js("document.body.classList.contains('lost')")
    assert (await page.js("document.title")).startswith("CONNECTION LOST")
    age = "document.querySelector('.point .age').innerText"
    before = await page.js(age)
    await page.until(f"{age} !== {before!r}")  # ages go on growing


@pytest.mark.timeout(300)
async def test_without_a_token_nothing_is_shown_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    async with served_mine(tmp_path) as mine, chromium(tmp_path / "profile") as browser:
        page = await browser.page()
        await page.size(390, 844, phone=True)
        await page.go(f"{mine.address}/?lang=en")
        await page.until("document.querySelector('#login-go')?.innerText")
        assert await page.js("getComputedStyle(document.querySelector('main')).display") == "none"
        await type_token(page, "wrong")
        await page.until("document.querySelector('#login-why').innerText !== ''")
        assert "not valid" in await page.text("#login-why")
        assert await page.js("document.querySelectorAll('.point').length") == 0
        await type_token(page, mine.token)
        await page.until("document.querySelectorAll('.point').length > 50")
        # On a phone nothing is wider than the screen.
        assert await page.js("document.documentElement.scrollWidth") <= 390
        assert browser.errors == []


async def type_token(page: Page, token: str) -> None:
    await page.js(
        f"document.querySelector('#token').value = {token!r};"
        "document.querySelector('#login-go').click()"
    )


@pytest.mark.timeout(300)
async def test_the_page_comes_back_by_itself_with_the_rows_it_missed(tmp_path: Path) -> None:
    async with watched(tmp_path) as seen:
        page, mine = seen.page, seen.mine
        hub = mine.services.sources.hub
        await asyncio.to_thread(mine.keep, [row(1), row(2)])
        await page.until("document.querySelectorAll('#events li').length === 2")
        # As after a break of the network: the server ends the stream, and later takes it again.
        hub.close()
        await page.until("!document.querySelector('#lost').hidden")
        await asyncio.to_thread(mine.keep, [row(3), row(4)])
        hub.closing = False
        await page.until("document.querySelector('#lost').hidden")
        await page.until("document.querySelectorAll('#events li').length === 4")
        keys = await page.js(
            "[...document.querySelectorAll('#events li')].map((li) => li.dataset.key)"
        )
        assert keys == ["4", "3", "2", "1"]


@pytest.mark.timeout(300)
async def test_the_description_of_the_api_is_readable_without_the_internet(tmp_path: Path) -> None:
    async with watched(tmp_path) as seen:
        await seen.page.go(f"{seen.mine.address}/docs")
        await seen.page.until("document.querySelectorAll('#routes section').length > 20")
        text = await seen.page.text("#routes")
        assert "GET /api/v1/points/{point}/history" in text
        assert "AlarmAnswer" in text


@pytest.mark.timeout(300)
async def test_a_stream_that_is_held_up_on_the_way_is_told_from_a_live_one(tmp_path: Path) -> None:
    """Each second a state comes, but each is old: a proxy or a slow line keeps them back."""
    async with watched(tmp_path) as seen:
        said = await seen.page.js(
            """(async () => {
              const { Truth } = await import("/truth.js");
              let now = 0;
              performance.now = () => now;
              const truth = new Truth();
              const said = [];
              for (const [sent, late] of [[0, 40], [1, 10], [2, 2000], [3, 4000], [4, 60000], [64, 20]]) {
                now = 1000 * sent + late;
                truth.took({ monotonic_ms: 7e6 + 1000 * sent, status: { time: "2026-11-23T00:00:00Z" } });
                said.push(truth.lost(0));
              }
              return said;
            })()"""  # noqa: E501
        )
        assert [bool(text) for text in said] == [False, False, False, True, True, False]
        assert "late" in said[3]

"""The page's modules by themselves: what is hard to reach through the page."""

import base64
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.driver import UploadPage


def call(visit: UploadPage, module: str, function: str, *arguments: Any) -> Any:
    """Calls an exported function of one of the page's modules."""
    script = "async ([url, name, args]) => (await import(url))[name](...args)"
    return visit.page.evaluate(script, [f"/page/{module}.js", function, arguments])


def test_metadata(visit: UploadPage) -> None:
    values = {"filename": "Größe € 𝄞\n.txt", "empty": "", "filetype": "text/plain"}
    pairs = call(visit, "tus", "encodeMetadata", values).split(",")
    assert pairs == [
        f"filename {base64.b64encode(values['filename'].encode()).decode()}",
        "empty",
        f"filetype {base64.b64encode(b'text/plain').decode()}",
    ]


def test_delay_before_the_next_attempt(visit: UploadPage) -> None:
    # (failures in a row, Retry-After, chance in [0, 1)): seconds
    expected = {
        (1, 0, 0.5): 0.5,
        (2, 0, 0.5): 1,
        (5, 0, 0.5): 8,
        (7, 0, 0.5): 30,
        (5000, 0, 0.5): 30,
        (3, 0, 0): 1.5,
        (3, 0, 1): 2.5,
        (1, 7, 0.5): 7,
        (7, 7, 0.5): 30,
        (1, 86400, 0.5): 300,
    }
    assert {case: call(visit, "backoff", "retryDelay", *case) for case in expected} == expected


def test_sizes(visit: UploadPage) -> None:
    expected = {
        0: "0 bytes",
        1: "1 byte",
        999: "999 bytes",
        1000: "1 kB",
        1250: "1.3 kB",
        99_940: "99.9 kB",
        99_960: "100 kB",
        999_499: "999 kB",
        999_500: "1 MB",
        5 * 10**9: "5 GB",
        2**53 - 1: "9 PB",
    }
    assert {size: spaced(call(visit, "format", "formatBytes", size)) for size in expected} == expected


def test_durations(visit: UploadPage) -> None:
    expected = {
        0: "1 s",
        59.4: "59 s",
        59.6: "1 min",
        200: "3 min 20 s",
        3600: "1 h",
        3720: "1 h 2 min",
        90_000: "1 d 1 h",
    }
    assert {s: spaced(call(visit, "format", "formatDuration", s)) for s in expected} == expected


def spaced(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_speed_is_smoothed(visit: UploadPage) -> None:
    script = """async () => {
      const { Rate } = await import("/page/rate.js");
      const rate = new Rate();
      const seen = [rate.bytesPerSecond];
      rate.restart(500, 100);
      rate.sample(600, 101);
      seen.push(rate.bytesPerSecond);
      for (let second = 2; second <= 40; second += 1) rate.sample(500 + second * 100, 100 + second);
      seen.push(rate.bytesPerSecond);
      rate.sample(500 + 40 * 100 + 1000, 141);
      seen.push(rate.bytesPerSecond);
      for (let second = 42; second <= 80; second += 1) rate.sample(5500, 100 + second);
      seen.push(rate.bytesPerSecond);
      return seen;
    }"""
    before, first, steady, after_burst, after_stall = visit.page.evaluate(script)
    assert before == 0
    assert first == pytest.approx(100)  # The first sample counts in full.
    assert steady == pytest.approx(100)
    assert 200 < after_burst < 400  # Neither ignored (100) nor taken at face value (1000).
    assert after_stall < 1


def test_foreign_and_broken_entries_in_storage_are_ignored(visit: UploadPage) -> None:
    visit.page.evaluate(
        """() => {
          const prefix = "litestar-tus/upload/";
          localStorage.setItem("something else", "{}");
          localStorage.setItem(prefix + "broken", "{");
          const entry = { url: "/files/x", name: "x", size: 1, lastModified: 2 };
          const elsewhere = JSON.stringify(["https://example.org/", "x", 1, 2]);
          localStorage.setItem(prefix + elsewhere, JSON.stringify(entry));
        }"""
    )
    visit.page.reload()
    expect(visit.button("Choose files")).to_be_visible()
    assert visit.page.evaluate("() => document.querySelectorAll('#uploads > li').length") == 0
    assert visit.sent("HEAD") == []
    assert len(visit.remembered()) == 3

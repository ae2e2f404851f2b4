"""The page is for everybody: by keyboard, on a phone, in the dark, with a screen reader."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.driver import MakeFile, UploadPage, digests

MB = 1_000_000

# WCAG 2.1 contrast of every text, progress bar and button border that can be seen, with what it belongs to.
CONTRASTS = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => {
    const linear = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = channels(colour).map(linear);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const style = (element) => getComputedStyle(element);
  const ground = (element) => {
    const colour = style(element).backgroundColor;
    const clear = channels(colour)[3] === 0;
    return clear && element.parentElement ? ground(element.parentElement) : colour;
  };
  const visible = [...document.body.querySelectorAll("*")].filter((element) => element.checkVisibility());
  const hasText = (element) => [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim() !== "");
  const texts = visible.filter(hasText).map((element) => {
    return ["text", element.textContent.trim(), ratio(style(element).color, ground(element))];
  });
  const bars = visible.filter((element) => element.matches("progress")).map((element) => {
    return ["bar", element.ariaLabel, ratio(style(element).color, style(element).backgroundColor)];
  });
  const icons = visible.filter((element) => element.matches("button svg")).map((element) => {
    return ["icon", element.parentElement.ariaLabel, ratio(style(element).color, ground(element))];
  });
  return [...texts, ...bars, ...icons];
}"""


@pytest.fixture
def every_state(visit: UploadPage, make_file: MakeFile) -> UploadPage:
    """The page with an upload in each state that lasts."""
    visit.throttle(200_000)
    film = make_file("film.mp4", 2 * MB)
    visit.choose(film)
    visit.wait_for_share("film.mp4", 0.1)
    visit.page.reload()
    visit.expect_state("film.mp4", "waiting")
    visit.unthrottle()
    visit.choose(make_file("minutes of the meeting.txt", 12_345))
    visit.expect_all_done("minutes of the meeting.txt")
    visit.throttle(50_000)  # No state ends while the page is looked at, on a slow machine neither.
    names = [
        "a name so long that no telephone has a screen which it fits on, 2026-11-23, final version.tar.gz",
        "holiday.mov",
        "paused.bin",
        "music.flac",
        "queued.bin",
    ]
    visit.choose(*(make_file(name, 2 * MB) for name in names), make_file("too large.iso", 3 * MB))
    visit.button("Pause paused.bin").click()
    visit.wait_for_share("holiday.mov", 0.01)
    states = {row.get_attribute("data-state") for row in visit.rows().all()}
    assert states == {"waiting", "done", "failed", "uploading", "paused", "queued"}
    visit.page.mouse.move(0, 0)
    return visit


@pytest.mark.parametrize("max_size", [2 * MB])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_and_fit_on_every_screen(every_state: UploadPage, scheme: str, tmp_path: Path) -> None:
    page = every_state.page
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for width, height in [(360, 740), (1100, 900)]:
        page.set_viewport_size({"width": width, "height": height})
        page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)
        assert page.evaluate("() => document.documentElement.scrollWidth") == width
        for button in page.get_by_role("button").all():
            box = button.bounding_box()
            assert box is not None
            assert box["width"] >= 44
            assert box["height"] >= 44
    contrasts = page.evaluate(CONTRASTS)
    assert {kind for kind, _, _ in contrasts} == {"text", "bar", "icon"}
    assert [c for c in contrasts if c[2] < (4.5 if c[0] == "text" else 3)] == []
    background = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(channel) for channel in re.findall(r"\d+", background)) / 3
    assert brightness < 64 if scheme == "dark" else brightness > 192


def expect_visible_focus(element: Locator) -> None:
    expect(element).to_be_focused()
    expect(element).to_have_css("outline-style", "solid")
    expect(element).to_have_css("outline-width", "3px")


def test_keyboard_alone(visit: UploadPage, make_file: MakeFile) -> None:
    keyboard = visit.page.keyboard
    files = [make_file("first.bin", 4 * MB), make_file("second.bin", 4 * MB)]
    visit.throttle(100_000)  # Both uploads last a minute, which a slow machine needs for what follows.
    keyboard.press("Tab")
    expect_visible_focus(visit.button("Choose files"))
    with visit.page.expect_file_chooser() as chooser:
        keyboard.press("Enter")
    chooser.value.set_files(files)
    visit.wait_for_share("first.bin", 0.01)

    keyboard.press("Tab")
    expect_visible_focus(visit.button("Pause first.bin"))
    keyboard.press("Enter")
    visit.expect_state("first.bin", "paused")
    expect_visible_focus(visit.button("Resume first.bin"))
    keyboard.press("Space")
    visit.expect_state("first.bin", "uploading")

    keyboard.press("Tab")
    expect_visible_focus(visit.button("Cancel first.bin"))
    keyboard.press("Enter")
    expect(visit.rows()).to_have_count(1)
    expect_visible_focus(visit.button("Cancel second.bin"))  # The neighbour of what has gone.

    keyboard.press("Shift+Tab")
    expect_visible_focus(visit.button("Pause second.bin"))
    visit.unthrottle()
    visit.expect_all_done("second.bin")
    expect_visible_focus(
        visit.button("Remove second.bin from the list")
    )  # There is nothing to pause any more.
    keyboard.press("Enter")
    expect(visit.rows()).to_have_count(0)
    expect_visible_focus(visit.button("Choose files"))
    assert visit.server.digests() == digests(files[1:])


@pytest.mark.parametrize("max_size", [2 * MB])
def test_everything_has_a_name(every_state: UploadPage) -> None:
    page = every_state.page
    expect(page.get_by_role("heading", level=1)).to_have_text("Upload files")
    expect(page.get_by_role("list", name="Files").get_by_role("listitem")).to_have_count(8)
    expect(page.get_by_role("progressbar", name="Progress of all files")).to_be_visible()
    for row in every_state.rows().all():
        name = row.locator(".name").inner_text()
        expect(row.get_by_role("progressbar")).to_have_accessible_name(f"Progress of {name}")
        for button in row.get_by_role("button").all():
            expect(button).to_have_accessible_name(re.compile(re.escape(name)))
    announcer = page.locator("#announcer")
    expect(announcer).to_have_role("status")
    expect(announcer).not_to_be_empty()


def test_motion_is_reduced_on_request(visit: UploadPage) -> None:
    # No script can look at the animation of a native progress bar: look at the rules that are in force.
    moving = """() => {
      const inForce = (rule) => !(rule instanceof CSSMediaRule) || matchMedia(rule.media.mediaText).matches;
      const rules = (list = []) => [...list].filter(inForce).flatMap((one) => [one, ...rules(one.cssRules)]);
      const moves = ({ style }) => style && (style.transitionDuration || style.animationName);
      return [...document.styleSheets].flatMap((sheet) => rules(sheet.cssRules)).filter(moves).length;
    }"""
    visit.page.emulate_media(reduced_motion="no-preference")
    assert visit.page.evaluate(moving) == 1
    visit.page.emulate_media(reduced_motion="reduce")
    assert visit.page.evaluate(moving) == 0


def test_nothing_comes_from_elsewhere_and_the_policy_is_strict(visit: UploadPage) -> None:
    visit.page.wait_for_load_state("networkidle")  # what a reload interrupts has no answer
    answer = visit.page.reload(wait_until="networkidle")
    assert answer is not None
    policy = answer.header_value("content-security-policy") or ""
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    expect(visit.button("Choose files")).to_be_visible()
    assert len(visit.requests) > 5
    assert [request.url for request in visit.requests if not request.url.startswith(visit.server.url)] == []
    failed = [r.url for r in visit.requests if (response := r.response()) is None or not response.ok]
    assert failed == []

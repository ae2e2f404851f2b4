"""Uploads that are paused, cut off, reloaded or cancelled on the way."""

import os
import signal
import time
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.driver import MakeFile, Server, UploadPage, digests

MB = 1_000_000


@pytest.fixture
def half_sent(visit: UploadPage, make_file: MakeFile) -> Path:
    """A file of 6 MB that is just being uploaded, slowly."""
    file = make_file("film.mp4", 6 * MB)
    visit.throttle(1 * MB)
    visit.choose(file)
    visit.wait_for_share(file.name, 0.3)
    return file


def expect_whole(visit: UploadPage, file: Path, creations: int = 1) -> None:
    visit.unthrottle()
    visit.expect_all_done(file.name)
    assert visit.server.digests() == digests([file])
    assert len(visit.sent("POST")) == creations
    assert visit.remembered() == []


def test_pause_and_resume(visit: UploadPage, half_sent: Path) -> None:
    visit.button("Pause film.mp4").click()
    visit.expect_state("film.mp4", "paused")
    expect(visit.page.locator("#announcer")).to_have_text("film.mp4 paused")
    time.sleep(0.5)  # What is on its way arrives.
    [stored] = visit.server.uploads()
    size = stored.stat().st_size
    patches = len(visit.sent("PATCH"))
    time.sleep(1)
    assert stored.stat().st_size == size < 6 * MB
    assert len(visit.sent("PATCH")) == patches
    visit.button("Resume film.mp4").click()
    visit.expect_state("film.mp4", "uploading")
    expect_whole(visit, half_sent)
    assert int(visit.sent("PATCH")[-1].headers["upload-offset"]) >= 1 * MB


def test_a_reload_in_the_middle_then_the_same_file_again(visit: UploadPage, half_sent: Path) -> None:
    visit.page.reload()
    assert visit.dialogs == ["beforeunload"]
    visit.expect_state("film.mp4", "waiting")
    row = visit.row("film.mp4")
    expect(row).to_contain_text("Waiting for the file: choose it again to continue")
    visit.page.wait_for_function("() => document.querySelector('#uploads progress').value > 0.1")
    before = len(visit.sent("PATCH"))

    visit.choose_again("film.mp4", half_sent)
    expect_whole(visit, half_sent)

    # The server saw one creation, and the bytes it had were not sent again.
    assert len(visit.server.uploads()) == 1
    [resumed] = visit.sent("PATCH")[before:]
    offset = int(resumed.headers["upload-offset"])
    assert offset >= 1 * MB
    assert int(resumed.all_headers()["content-length"]) == 6 * MB - offset


def test_after_a_reload_a_drop_continues_too(visit: UploadPage, half_sent: Path) -> None:
    visit.page.reload()
    visit.expect_state("film.mp4", "waiting")
    visit.drop(half_sent)
    expect_whole(visit, half_sent)
    expect(visit.rows()).to_have_count(1)
    assert int(visit.sent("PATCH")[-1].headers["upload-offset"]) >= 1 * MB


def test_another_file_does_not_continue_an_upload(
    visit: UploadPage, half_sent: Path, make_file: MakeFile
) -> None:
    visit.page.reload()
    visit.expect_state("film.mp4", "waiting")
    visit.choose_again("film.mp4", make_file("other.mp4", 6 * MB))
    expect(visit.page.locator("#notice")).to_contain_text("That is not the file that film.mp4 was")
    visit.expect_state("film.mp4", "waiting")
    os.utime(half_sent, (1, 1))  # Same name and size, but changed at another time.
    visit.choose_again("film.mp4", half_sent)
    visit.expect_state("film.mp4", "waiting")
    assert len(visit.sent("PATCH")) == 1


def test_an_upload_that_expired_before_the_reload_is_dropped(visit: UploadPage, half_sent: Path) -> None:
    visit.tolerate_failed_requests()
    visit.button("Pause film.mp4").click()
    visit.server.stop()
    visit.server.erase()
    visit.server.start()
    visit.page.reload()
    expect(visit.rows()).to_have_count(0)
    visit.page.wait_for_function("() => localStorage.length === 0")
    visit.choose(half_sent)
    expect_whole(visit, half_sent, creations=2)


def test_an_upload_that_the_server_lost_meanwhile_starts_again(visit: UploadPage, half_sent: Path) -> None:
    visit.tolerate_failed_requests()
    visit.button("Pause film.mp4").click()
    visit.expect_state("film.mp4", "paused")
    visit.server.stop()
    visit.server.erase()
    visit.server.start()
    visit.button("Resume film.mp4").click()
    expect_whole(visit, half_sent, creations=2)


def test_cancel_removes_it_from_the_server(visit: UploadPage, half_sent: Path) -> None:
    visit.button("Cancel film.mp4").click()
    expect(visit.rows()).to_have_count(0)
    assert visit.server.uploads() == []
    assert [request.method for request in visit.sent("DELETE")] == ["DELETE"]
    assert visit.remembered() == []
    expect(visit.page.locator("#announcer")).to_have_text("film.mp4 cancelled")


def test_a_waiting_upload_can_be_cancelled(visit: UploadPage, half_sent: Path) -> None:
    visit.page.reload()
    visit.expect_state("film.mp4", "waiting")
    visit.button("Cancel film.mp4").click()
    expect(visit.rows()).to_have_count(0)
    assert visit.server.uploads() == []
    visit.page.reload()
    expect(visit.page.get_by_role("button", name="Choose files")).to_be_visible()
    assert visit.remembered() == []


def test_cancelling_without_a_server_fails_and_can_be_done_again(visit: UploadPage, half_sent: Path) -> None:
    visit.tolerate_failed_requests()
    visit.server.stop()
    visit.button("Cancel film.mp4").click()
    visit.expect_state("film.mp4", "failed")
    expect(visit.row("film.mp4")).to_contain_text("Not removed from the server: The connection was lost")
    visit.server.start()
    visit.button("Cancel film.mp4").click()
    expect(visit.rows()).to_have_count(0)
    assert visit.server.uploads() == []


def test_without_network_it_waits_and_goes_on_at_once_when_it_is_back(
    visit: UploadPage, half_sent: Path, context: BrowserContext
) -> None:
    visit.tolerate_failed_requests()
    visit.page.clock.install()
    visit.page.clock.pause_at(4_000_000_000)  # No delay ends any more: only the news can wake it.
    context.set_offline(True)
    visit.expect_state("film.mp4", "retrying")
    expect(visit.row("film.mp4")).to_contain_text("No network")
    context.set_offline(False)
    visit.expect_state("film.mp4", "uploading")
    visit.page.clock.resume()
    expect_whole(visit, half_sent)
    assert int(visit.sent("PATCH")[-1].headers["upload-offset"]) >= 1 * MB


def test_a_server_that_needs_no_network_is_tried_all_the_same(visit: UploadPage, half_sent: Path) -> None:
    visit.page.evaluate("() => { dispatchEvent(new Event('offline')) }")
    visit.expect_state("film.mp4", "retrying")
    expect_whole(visit, half_sent)
    assert len(visit.sent("PATCH")) == 2


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_server_goes_away_and_comes_back(visit: UploadPage, half_sent: Path, how: signal.Signals) -> None:
    visit.tolerate_failed_requests()
    visit.server.stop(how)
    visit.expect_state("film.mp4", "retrying")
    expect(visit.row("film.mp4")).to_contain_text("The connection was lost, trying again")
    visit.server.start()
    expect_whole(visit, half_sent)


@pytest.mark.parametrize("status", [409, 423, 500, 503])
def test_a_passing_refusal_is_followed_by_head_and_the_rest(
    visit: UploadPage, make_file: MakeFile, status: int
) -> None:
    visit.tolerate_failed_requests()
    file = make_file("again.bin", 1 * MB)
    with visit.answer_once("PATCH", status):
        visit.choose(file)
        visit.expect_all_done("again.bin")
    methods = [r.method for r in visit.requests if "/files/" in r.url]
    assert methods == ["POST", "PATCH", "HEAD", "PATCH"]
    expect_whole(visit, file)


def test_a_final_refusal_is_shown_and_may_be_tried_again(visit: UploadPage, make_file: MakeFile) -> None:
    visit.tolerate_failed_requests()
    file = make_file("refused.bin", 1000)
    with visit.answer_once("POST", 403):
        visit.choose(file)
        visit.expect_state("refused.bin", "failed")
    expect(visit.row("refused.bin")).to_contain_text("The server refused the upload")
    expect(visit.page.locator("#total-files")).to_have_text("0 of 1 file done, 1 failed")
    visit.button("Try refused.bin again").click()
    expect_whole(visit, file, creations=2)


def test_after_many_refusals_in_a_row_it_gives_up(visit: UploadPage, make_file: MakeFile) -> None:
    visit.tolerate_failed_requests()
    file = make_file("unlucky.bin", 1000)
    visit.page.route("**/files/*", lambda route: route.fulfill(status=507))
    # The clock stands, so that no request is under way when it is put forward: that would be one given up.
    visit.page.clock.install(time=0)
    visit.page.clock.pause_at(60_000)
    visit.choose(file)
    for _ in range(7):
        visit.expect_state("unlucky.bin", "retrying")
        expect(visit.row("unlucky.bin")).to_contain_text("The server has no room left, trying again in")
        visit.page.clock.fast_forward(60_000)
    visit.expect_state("unlucky.bin", "failed")
    assert len(visit.sent("POST")) == 8


def test_a_file_that_changed_on_the_disk_is_not_sent_on(visit: UploadPage, half_sent: Path) -> None:
    visit.tolerate_failed_requests()
    visit.button("Pause film.mp4").click()
    visit.expect_state("film.mp4", "paused")
    half_sent.write_bytes(b"something else")
    visit.button("Resume film.mp4").click()
    visit.expect_state("film.mp4", "failed")
    expect(visit.row("film.mp4")).to_contain_text("was changed, moved or deleted")


def test_two_tabs_do_not_disturb_each_other(
    visit: UploadPage, half_sent: Path, context: BrowserContext, server: Server
) -> None:
    other = UploadPage(context.new_page(), server)
    other.open()
    other.page.wait_for_timeout(500)
    expect(other.rows()).to_have_count(0)  # The upload is in good hands.
    assert other.sent("HEAD") == []
    visit.page.close(run_before_unload=False)
    other.expect_state("film.mp4", "waiting")  # Now nobody looks after it.
    other.choose_again("film.mp4", half_sent)
    other.expect_all_done("film.mp4")
    assert server.digests() == digests([half_sent])
    assert len(visit.sent("POST")) == 1
    assert other.sent("POST") == []
    assert other.unexpected_errors() == []


def test_an_upload_that_another_tab_finished_is_no_longer_waited_for(
    visit: UploadPage, half_sent: Path, context: BrowserContext, server: Server
) -> None:
    visit.page.reload()
    visit.expect_state("film.mp4", "waiting")
    other = UploadPage(context.new_page(), server)
    other.open()
    other.expect_state("film.mp4", "waiting")
    other.choose_again("film.mp4", half_sent)
    other.expect_all_done("film.mp4")
    expect(visit.rows()).to_have_count(0)
    assert server.digests() == digests([half_sent])

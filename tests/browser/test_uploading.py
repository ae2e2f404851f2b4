"""Files get into the list and onto the server, whole."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.driver import MakeFile, UploadPage, digests

MB = 1_000_000


def test_chosen_files_arrive(visit: UploadPage, make_file: MakeFile) -> None:
    files = [
        make_file("report.pdf", 3 * MB),
        make_file("empty.txt", 0),
        make_file("Größe & Maß – 東京 🚀.bin", 12_345),
        make_file("longer than a chunk.iso", 70 * MB),
        make_file("one byte", 1),
    ]
    visit.choose(*files)
    visit.expect_all_done(*(file.name for file in files))
    assert visit.server.digests() == digests(files)
    assert len(visit.sent("POST")) == len(files)
    expect(visit.page.locator("#total-files")).to_have_text("All 5 files uploaded")
    expect(visit.page.locator("#total-bytes")).to_have_text("73 MB")
    expect(visit.page.locator("#announcer")).to_contain_text("All uploads have ended")
    for bar in visit.page.get_by_role("progressbar").all():
        expect(bar).to_have_js_property("value", 1)
    assert visit.remembered() == []


def test_a_long_file_goes_in_chunks(visit: UploadPage, make_file: MakeFile) -> None:
    file = make_file("long.iso", 70 * MB)
    visit.choose(file)
    visit.expect_all_done(file.name)
    assert [request.headers["upload-offset"] for request in visit.sent("PATCH")] == [
        "0",
        str(64 * 1024 * 1024),
    ]
    assert visit.server.digests() == digests([file])


def test_name_and_type_reach_the_server(visit: UploadPage, make_file: MakeFile) -> None:
    file = make_file("Größe 東京 🚀.pdf", 10)
    visit.choose(file)
    visit.expect_all_done(file.name)
    [stored] = visit.server.uploads()
    assert visit.server.metadata(stored) == {"filename": file.name, "filetype": "application/pdf"}


def test_dropped_files_arrive(visit: UploadPage, make_file: MakeFile) -> None:
    files = [make_file("a.bin", 2 * MB), make_file("b.bin", 1 * MB)]
    visit.drop(*files)
    visit.expect_all_done("a.bin", "b.bin")
    assert visit.server.digests() == digests(files)
    expect(visit.page.locator("body")).not_to_have_class("dragging")


def test_a_dropped_folder_is_refused_and_the_files_beside_it_are_not(
    visit: UploadPage, make_file: MakeFile, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    file = make_file("beside.txt", 1000)
    visit.drop(folder, file)
    visit.expect_all_done("beside.txt")
    expect(visit.page.locator("#notice")).to_contain_text("Folders cannot be uploaded")
    expect(visit.rows()).to_have_count(1)
    assert visit.server.digests() == digests([file])


@pytest.mark.parametrize("max_size", [1 * MB])
def test_a_file_over_the_limit_is_refused_before_anything_is_sent(
    visit: UploadPage, make_file: MakeFile
) -> None:
    expect(visit.page.locator(".hint")).to_contain_text("Up to 1 MB per file.")
    allowed = make_file("allowed.bin", 1 * MB)
    visit.choose(make_file("large.bin", 1 * MB + 1), allowed)
    visit.expect_state("large.bin", "failed")
    expect(visit.row("large.bin")).to_contain_text("Too large: the limit is 1 MB")
    expect(visit.button("Try large.bin again")).to_have_count(0)
    visit.expect_all_done("allowed.bin")
    assert len(visit.sent("POST")) == 1
    assert visit.server.digests() == digests([allowed])
    visit.button("Remove large.bin from the list").click()
    expect(visit.rows()).to_have_count(1)
    assert visit.sent("DELETE") == []


def test_three_at_a_time(visit: UploadPage, make_file: MakeFile) -> None:
    files = [make_file(f"{number}.bin", 2 * MB) for number in range(5)]
    visit.throttle(1 * MB)
    visit.choose(*files)
    visit.wait_for_share("0.bin", 0.1)
    states = [row.get_attribute("data-state") for row in visit.rows().all()]
    assert states == ["uploading", "uploading", "uploading", "queued", "queued"]
    assert len(visit.sent("POST")) == 3
    visit.button("Pause 1.bin").click()
    visit.expect_state("3.bin", "uploading")  # It has taken over the slot.
    visit.button("Resume 1.bin").click()
    visit.expect_state("1.bin", "queued")
    visit.unthrottle()
    visit.expect_all_done(*(file.name for file in files))
    assert visit.server.digests() == digests(files)


def test_speed_and_remaining_time_are_shown(visit: UploadPage, make_file: MakeFile) -> None:
    visit.throttle(1 * MB)
    visit.choose(make_file("slow.bin", 8 * MB))
    visit.wait_for_share("slow.bin", 0.3)
    expect(visit.row("slow.bin").locator(".status")).to_contain_text("of 8 MB")
    expect(visit.row("slow.bin").locator(".status")).to_contain_text("B/s")
    expect(visit.row("slow.bin").locator(".status")).to_contain_text("left")
    assert "% – Upload files" in visit.page.title()


def test_a_file_in_the_list_is_not_taken_twice(visit: UploadPage, make_file: MakeFile) -> None:
    file = make_file("once.bin", 4 * MB)
    visit.throttle(1 * MB)
    visit.choose(file)
    visit.wait_for_share("once.bin", 0.1)
    visit.choose(file)
    expect(visit.page.locator("#notice")).to_contain_text("already in the list")
    expect(visit.rows()).to_have_count(1)
    visit.unthrottle()
    visit.expect_all_done("once.bin")
    assert len(visit.sent("POST")) == 1


def test_finished_files_can_be_cleared_and_uploaded_again(visit: UploadPage, make_file: MakeFile) -> None:
    file = make_file("again.bin", 1000)
    visit.choose(file)
    visit.expect_all_done("again.bin")
    visit.button("Clear finished").click()
    expect(visit.rows()).to_have_count(0)
    expect(visit.page.locator("#total")).to_be_hidden()
    visit.choose(file)
    visit.expect_all_done("again.bin")
    assert visit.server.digests() == digests([file, file])

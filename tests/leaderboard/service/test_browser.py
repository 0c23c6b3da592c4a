"""The board in a real browser: the whole way of an entrant, scripts off, and what axe thinks of every page."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.leaderboard.service.live import browser, chromium, served
from tests.leaderboard.service.trial import make_trial

from perturbarena.leaderboard import add_review, announce, award_places, identify, set_release

WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def chrome():
    chromium()  # skips at once where there is none
    with browser() as running:
        yield running


def wait_until(page, path: str, words: str) -> None:
    """Reload, as a person without scripts does, until the page says these words."""
    for _ in range(100):
        page.goto(path)
        if words in page.inner_text("main"):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{path} never said {words!r}; it says {page.inner_text('main')[:500]}")


def sign_in(page, address: str, token: str) -> None:
    page.goto(f"{address}/signin")
    page.get_by_label("Token").fill(token)
    with page.expect_navigation():
        page.get_by_role("button", name="Sign in").click()


def hand_in(page, address: str, file: Path) -> str:
    page.goto(f"{address}/upload")
    page.get_by_label("C: Fine-tuning").check()
    page.get_by_label("Zip file").set_input_files(file)
    with page.expect_navigation(url="**/submissions/*"):
        page.get_by_role("button", name="Hand in").click()
    return page.url


def test_an_entrant_goes_the_whole_way_without_scripts(chrome, tmp_path):
    trial = make_trial(tmp_path)
    token, other = trial.team("Alpha & Söhne"), trial.team("Rivals")
    (tmp_path / "bad.zip").write_bytes(trial.zip(break_rows=2))
    for i, skill in enumerate((0.9, 0.4)):
        (tmp_path / f"good{i}.zip").write_bytes(trial.zip(skill=skill, seed=i))
    (tmp_path / "rival.zip").write_bytes(trial.zip(skill=0.6, seed=9))
    with served(trial.store) as address:
        page = chrome.new_context(java_script_enabled=False).new_page()
        sign_in(page, address, "pa_wrong")
        assert "not valid" in page.get_by_role("alert").inner_text()
        sign_in(page, address, token)
        assert page.get_by_role("link", name="Alpha & Söhne").is_visible()

        bad = hand_in(page, address, tmp_path / "bad.zip")
        wait_until(page, bad, "2 problems")
        text = page.inner_text("main")
        assert "Refused by the check" in text
        assert "prediction_up must lie in [0, 1]; got '1.7'; rescale or clip it" in text

        good = [hand_in(page, address, tmp_path / f"good{i}.zip") for i in (0, 1)]
        for url in good:
            wait_until(page, url, "On the board")
        assert "SHA-256 of the file" in page.inner_text("main")
        rival = chrome.new_context(java_script_enabled=False).new_page()
        sign_in(rival, address, other)
        rivals = hand_in(rival, address, tmp_path / "rival.zip")
        wait_until(rival, rivals, "On the board")
        wait_until(page, f"{address}/tracks/C", "Rivals")
        board = page.inner_text("main")
        assert board.index("Alpha & Söhne") < board.index("Rivals")

        with page.expect_navigation():
            page.get_by_role("link", name="Alpha & Söhne").first.click()
        worse = good[1].rsplit("/", 1)[1][:8]
        page.get_by_label(f"Final: good1.zip, {worse}").check()
        with page.expect_navigation():
            page.get_by_role("button", name="Save finals of track C").click()
        assert page.get_by_label(f"Final: good1.zip, {worse}").is_checked()

        trial.clock.pass_time(days=11)
        wait_until(page, f"{address}/tracks/C", "The deadline has passed")
        sign_in(page, address, token)  # a session lasts twelve hours
        page.goto(f"{address}/upload")
        assert "Nothing is taken at the moment" in page.inner_text("main")
        assert page.goto(f"{address}/results").status == 409
        set_release(trial.store, trial.clock())
        wait_until(page, f"{address}/tracks/C", "private part of the questions")
        final = page.inner_text("main")
        assert final.index("Rivals") < final.index("Alpha & Söhne")  # it chose its worse one
    trial.store.close()


def _pages(trial) -> tuple[dict[str, list[str]], str, str]:
    """Addresses to look at, by who looks; a team's token and an organiser's."""
    token, staff = trial.team("Alpha"), trial.staff("organise")
    from perturbarena.leaderboard import Incoming, receive

    me, ids = identify(trial.store, token), []
    for content in (trial.zip(skill=0.5), trial.zip(skill=0.7, seed=2), trial.zip(break_rows=3, seed=3)):
        with Incoming(trial.store) as incoming:
            incoming.write(content)
            ids.append(receive(trial.store, incoming, by=me, track="C", filename="entry.zip").submission)
        trial.clock.pass_time(hours=2)
    trial.work()
    announce(trial.store, "Good luck!")
    judge = identify(trial.store, staff)
    add_review(trial.store, ids[0], verdict="sound", reason="All well.", novelty=3, by=judge)
    everybody = ["/", "/tracks/A", "/tracks/C", "/rules", "/announcements", "/signin", "/api", "/nothing"]
    own = ["/upload", f"/teams/{me.team_id}", f"/submissions/{ids[0]}", f"/submissions/{ids[2]}"]
    return (
        {"": everybody, token: own, staff: ["/review", f"/review/{ids[0]}", "/announcements"]},
        token,
        staff,
    )


def look(chrome, address: str, paths: dict[str, list[str]], *, scheme: str, size: tuple[int, int]) -> list[str]:
    """What axe finds of weight on these pages, and where a page is wider than its window."""
    from axe_playwright_python.sync_playwright import Axe

    wrong = []
    for token, addresses in paths.items():
        viewport = {"width": size[0], "height": size[1]}
        # the policy forbids scripts, and axe is one: it is let in here alone
        page = chrome.new_context(color_scheme=scheme, viewport=viewport, bypass_csp=True).new_page()
        if token:
            sign_in(page, address, token)
        for path in addresses:
            page.goto(address + path)
            found = Axe().run(page).response["violations"]
            wrong += [
                f"{path} {scheme} {size[0]}: {v['id']} {v['nodes'][0]['html'][:120]}"
                for v in found
                if v["impact"] in ("serious", "critical", "moderate")
            ]
            wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            if wide > 0:
                wrong.append(f"{path} {scheme} {size[0]}: {wide} px wider than the window")
    return wrong


def test_axe_finds_nothing_serious(chrome, tmp_path):
    trial = make_trial(tmp_path)
    paths, _, _ = _pages(trial)
    with served(trial.store, work=False) as address:
        assert not look(chrome, address, paths, scheme="dark", size=WIDTHS["phone"])
    trial.store.close()


@pytest.mark.slow  # every page, light and dark, wide and narrow, before and after the release
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", WIDTHS)
def test_axe_finds_nothing_serious_anywhere(chrome, tmp_path, scheme, size):
    trial = make_trial(tmp_path)
    paths, _, _ = _pages(trial)
    with served(trial.store, work=False) as address:
        wrong = look(chrome, address, paths, scheme=scheme, size=WIDTHS[size])
        trial.clock.pass_time(days=11)
        set_release(trial.store, trial.clock())
        award_places(trial.store, "C")
        chrome.contexts[0].pages[0].wait_for_timeout(400)
        wrong += look(chrome, address, {"": ["/", "/tracks/C", "/results"]}, scheme=scheme, size=WIDTHS[size])
    trial.store.close()
    assert not wrong


@pytest.mark.slow  # a browser again
def test_the_keyboard_reaches_the_content_first(chrome, tmp_path):
    trial = make_trial(tmp_path)
    with served(trial.store, work=False) as address:
        page = chrome.new_page()
        page.goto(f"{address}/tracks/C")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('role')") == "region"
    trial.store.close()

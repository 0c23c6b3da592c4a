"""What strangers may try on an open board, and what comes of it."""

from __future__ import annotations

import csv
import io
import re
import socket
import time
import zipfile
from dataclasses import replace

import pytest
from starlette.testclient import TestClient
from tests.leaderboard.service.browse import bearer, csrf_of, sign_in, upload
from tests.leaderboard.service.conftest import FAST
from tests.leaderboard.service.live import served

from perturbarena.leaderboard import set_release
from perturbarena.leaderboard.schema import Score
from perturbarena.leaderboard.service import ServiceSettings, create_app
from perturbarena.leaderboard.service.rates import Rates, TooOftenError, neighbourhood

SCRIPT = "<script>alert(1)</script>"
EVIL_NAMES = (
    '"><img src=x onerror=alert(1)>',
    "<svg/onload=alert(1)>",
    "{{ 7*7 }}",
    "'; DROP TABLE team; --",
    '=HYPERLINK("http://evil","x")',
    "+1+cmd|' /C calc'!A0",
    "@SUM(1)",
)


def hand_in(client: TestClient, token: str, content: bytes, *, track: str = "C"):
    return client.post(f"/api/v1/submissions?track={track}", content=content, headers=bearer(token))


# ---- markup, formulas, SQL in what strangers write ----


def test_names_notes_and_files_of_strangers_never_become_markup(trial, client):
    tokens = [trial.team(name) for name in EVIL_NAMES]
    sign_in(client, tokens[0])
    answer = upload(client, trial.zip(seed=1), name='"><b>x</b>.zip', note=SCRIPT)
    hand_in(client, tokens[3], trial.zip(seed=3))
    trial.work()
    pages = ["/", "/tracks/C", answer.headers["location"], "/teams/1", "/teams/4"]
    for page in pages:
        text = client.get(page).text
        assert "<script" not in text
        assert "<img" not in text
        assert "<b>x" not in text
        assert not re.search(r"<[^>]+\son\w+\s*=", text)
        assert 'style="' not in text  # the policy forbids styles in line, and nothing needs them
    assert "&lt;img src=x" in client.get("/tracks/C").text
    assert "{{ 7*7 }}" in client.get("/teams/3").text  # a name is text, not a template
    assert client.get("/api/v1/teams/4").json()["team"]["name"] == EVIL_NAMES[3]  # the table still stands


def test_traces_and_audit_texts_never_become_markup(trial, client):
    token, staff = trial.team("Alpha"), trial.staff("review")
    evil = f"{SCRIPT}</pre><img src=x onerror=alert(1)>\u202egnihton"
    ids = [hand_in(client, token, trial.zip(reasoning_trace=evil, model_name=SCRIPT)).json()["submission"]]
    rejected = hand_in(client, token, trial.zip(seed=2, id=evil)).json()["submission"]
    trial.work()
    from perturbarena.leaderboard.schema import AuditResult, Submission

    report = {
        "findings": [{"rule": "pasted.answers", "severity": "severe", "message": evil, "rows": [evil],
                      "excerpts": [{"id": evil, "text": evil}]}],
        "counts": {"severe": 1, "warning": 0, "note": 0},
    }  # fmt: skip
    with trial.store.writing() as session:
        row = session.query(Submission).filter_by(public_id=ids[0]).one()
        session.merge(
            AuditResult(submission_id=row.id, audited_at=trial.clock(), severe=1, warning=0, note=0, report=report)
        )
    sign_in(client, staff)
    text = client.get(f"/review/{ids[0]}").text
    assert "<script" not in text
    assert "<img" not in text
    assert "\u202e" not in text  # a character that turns text round is made visible
    client.cookies.clear()
    sign_in(client, token)
    text = client.get(f"/submissions/{rejected}").text
    assert "What is wrong" in text
    assert "<script" not in text
    assert "<img" not in text


def test_cells_of_the_csv_are_no_formulas(trial, client):
    for i, name in enumerate(EVIL_NAMES):
        hand_in(client, trial.team(name), trial.zip(seed=i, model_name="=1+1"))
    trial.work()
    rows = list(csv.DictReader(io.StringIO(client.get("/api/v1/boards/C/csv").text)))
    assert len(rows) == len(EVIL_NAMES)
    for row in rows:
        for cell in row.values():
            number = re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", cell)
            assert number or not cell.startswith(("=", "+", "-", "@", "\t", "\r")), cell
    assert {row["model"] for row in rows} == {"'=1+1"}


@pytest.mark.parametrize("text", ["' OR 1=1 --", "1; DROP TABLE submission", "%00", "..%2fetc", "A' --"])
def test_odd_words_in_addresses_find_nothing(trial, client, text):
    token = trial.team("Alpha")
    hand_in(client, token, trial.zip())
    for path in (
        f"/tracks/{text}", f"/teams/{text}", f"/submissions/{text}", f"/files/{text}", f"/api/v1/boards/{text}",
        f"/api/v1/submissions/{text}", f"/submissions/{text}/submission.zip",
    ):  # fmt: skip
        answer = client.get(path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code in (303, 404, 422), (path, answer.status_code)
    answer = client.get(f"/api/v1/submissions?track={text}", headers=bearer(token))
    assert answer.status_code in (404, 422)
    assert len(client.get("/api/v1/submissions", headers=bearer(token)).json()) == 1


def test_files_of_the_challenge_are_offered_by_name_and_nothing_else_is(trial, client):
    assert client.get("/files/questions.csv").text.startswith("id,pert,gene")
    assert client.get("/files/rules.toml").status_code == 200
    for name in ("board.sqlite", "config.toml", "truth", "..%2fboard.sqlite", "solution.csv", "truth%2f1.csv"):
        assert client.get(f"/files/{name}").status_code == 404, name


# ---- zips ----


def _bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("submission.csv", b"0" * 50_000_000)
        archive.writestr("prompt.txt", "p")
    return file.getvalue()


def _traversal() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../escaped.txt", "out")
        archive.writestr("/etc/escaped.txt", "out")
        archive.writestr("submission.csv", "id\n")
        archive.writestr("prompt.txt", "p")
    return file.getvalue()


@pytest.mark.parametrize(("make", "rule"), [(_bomb, "archive.ratio"), (_traversal, "archive.path")])
def test_hostile_zips_are_refused_with_the_reason_and_unpack_nowhere(trial, client, make, rule):
    token = trial.team("Alpha")
    given = hand_in(client, token, make()).json()
    trial.work()
    page = client.get(f"/api/v1/submissions/{given['submission']}", headers=bearer(token)).json()
    assert page["line"]["state"] == "rejected"
    assert rule in {problem["rule"] for problem in page["problems"]}
    assert not list(trial.store.folder.path.parent.rglob("escaped.txt"))


# ---- private scores ----


def test_nothing_private_leaves_the_board_before_the_release(trial, client):
    token, staff = trial.team("Alpha"), trial.staff("organise", "review", "read")
    given = hand_in(client, token, trial.zip(skill=0.6)).json()["submission"]
    trial.work()
    with trial.store.reading() as session:
        scores = {s.part: s for s in session.query(Score)}
    private = scores["private"]
    told = {f"{value:.{n}f}" for value in (private.score, private.de, private.dir) for n in (3, 4, 6)}
    told -= {f"{v:.3f}" for v in (scores["public"].score, scores["public"].de, scores["public"].dir)}

    def everything() -> str:
        paths = [
            "/", "/tracks/C", f"/submissions/{given}", "/teams/1", "/review", f"/review/{given}", "/results",
            "/api/v1/boards/C", "/api/v1/boards/C/csv", "/api/v1/boards/C/history", "/api/v1/results",
            "/api/v1/teams/1", "/api/v1/submissions", f"/api/v1/submissions/{given}", "/api/v1/reviews/C",
        ]  # fmt: skip
        texts = []
        for secret in (None, token, staff):
            client.cookies.clear()
            if secret:
                sign_in(client, secret)
            headers = {"Authorization": f"Bearer {secret}"} if secret else {}
            texts += [client.get(path, headers=headers).text for path in paths]
        return "\n".join(texts)

    text = everything()
    assert f"{scores['public'].score:.3f}" in text
    assert not [number for number in told if number in text]
    trial.clock.pass_time(days=11)
    assert not [number for number in told if number in everything()]
    set_release(trial.store, trial.clock())
    assert f"{private.score:.3f}" in everything()


def test_public_numbers_are_rounded_everywhere(trial, client):
    token = trial.team("Alpha")
    given = hand_in(client, token, trial.zip(skill=0.6)).json()["submission"]
    trial.work()
    with trial.store.reading() as session:
        exact = session.query(Score).filter_by(part="public").one()
    for path in (
        "/api/v1/boards/C",
        "/api/v1/boards/C/csv",
        "/api/v1/boards/C/history",
        f"/api/v1/submissions/{given}",
    ):
        text = client.get(path, headers=bearer(token)).text
        for value in (exact.score, exact.de, exact.dir, exact.low, exact.high):
            assert f"{value:.5f}" not in text, path
            assert f"{value:.4f}" not in text or f"{value:.4f}".endswith("0"), path


def test_the_same_file_again_is_the_same_receipt_and_costs_nothing(trial, client):
    token, content = trial.team("Alpha"), trial.zip()
    first = hand_in(client, token, content)
    again = hand_in(client, token, content)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json() | {"repeated": True}
    assert client.get("/api/v1/me", headers=bearer(token)).json()["remaining_today"] == 4


def test_probing_is_bounded_by_the_day_and_by_the_minute(trial):
    settings = replace(FAST, uploads_per_minute=8, private_reads_per_minute=5)
    client = TestClient(create_app(trial.store, settings))
    token = trial.team("Alpha")
    codes = [hand_in(client, token, trial.zip(seed=i)).status_code for i in range(7)]
    assert codes == [201] * 5 + [429] * 2  # five a day
    hand_in(client, token, trial.zip(seed=9))
    answer = hand_in(client, token, trial.zip(seed=10))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1  # eight a minute, whatever becomes of them
    codes = [client.get("/api/v1/submissions", headers=bearer(token)).status_code for _ in range(8)]
    assert codes.count(200) == 5
    assert codes[-1] == 429


# ---- who may what ----


def test_another_teams_submission_is_not_there(trial, client):
    mine, theirs = trial.team("Alpha"), trial.team("Beta")
    given = hand_in(client, mine, trial.zip(break_rows=1)).json()["submission"]
    listed = hand_in(client, mine, trial.zip(seed=4)).json()["submission"]
    trial.work()
    for path in (f"/submissions/{given}", f"/submissions/{given}/file"):
        assert client.get(f"/api/v1{path}", headers=bearer(theirs)).status_code == 404
    assert client.get(f"/api/v1/submissions/{listed}/file", headers=bearer(theirs)).status_code == 404
    own = client.get(f"/api/v1/submissions/{listed}/file", headers=bearer(mine))
    assert own.content == trial.zip(seed=4)
    assert own.headers["content-disposition"].startswith("attachment")
    seen = client.get(f"/api/v1/submissions/{listed}", headers=bearer(theirs)).json()
    assert (seen["receipt"], seen["problems"], seen["audit"], seen["line"]["note"]) == (None, [], None, "")
    answer = client.put("/api/v1/finals/C", json={"submissions": [listed]}, headers=_json(theirs))
    assert answer.status_code == 404
    token_id = client.get("/api/v1/tokens", headers=bearer(mine)).json()[0]["id"]
    assert client.delete(f"/api/v1/tokens/{token_id}", headers=bearer(theirs)).status_code == 404
    receipt = hand_in(client, mine, trial.zip(seed=4)).json()
    assert client.post("/api/v1/receipts/check", json=receipt, headers=_json(theirs)).status_code == 404
    sign_in(client, theirs)
    for path in (given, f"{listed}/submission.zip", f"{listed}/receipt.json"):
        assert client.get(f"/submissions/{path}").status_code == 404
    assert "Receipt" not in client.get(f"/submissions/{listed}").text


def _json(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_what_a_token_may_not_do_it_cannot(trial, client):
    reader, panel = trial.team("Alpha", scopes=("read",)), trial.staff("review")
    team = trial.team("Beta")
    assert hand_in(client, reader, trial.zip()).status_code == 403
    assert hand_in(client, panel, trial.zip()).status_code == 403
    given = hand_in(client, team, trial.zip()).json()["submission"]
    words = {"text": "hello"}
    assert client.post("/api/v1/announcements", json=words, headers=_json(panel)).status_code == 403
    assert client.put(f"/api/v1/disqualifications/{given}", json=words, headers=_json(team)).status_code == 403
    assert client.get("/api/v1/reviews/C", headers=_json(team)).status_code == 403
    verdict = {"verdict": "sound", "reason": "fine"}
    assert client.post(f"/api/v1/reviews/{given}", json=verdict, headers=_json(team)).status_code == 403
    sign_in(client, team)
    assert client.get("/review").status_code == 403
    assert client.get(f"/review/{given}").status_code == 403
    csrf = csrf_of(client, "/upload")
    for path in ("/announcements", f"/review/{given}", f"/review/{given}/disqualify"):
        answer = client.post(path, data={"csrf": csrf, "text": "x", "verdict": "sound", "reason": "x"})
        assert answer.status_code == 403


def test_a_revoked_token_ends_its_sessions(trial, client):
    token = trial.team("Alpha")
    sign_in(client, token)
    mine = client.get("/api/v1/tokens", headers=bearer(token)).json()[0]["id"]
    csrf = csrf_of(client, "/upload")
    assert client.post(f"/tokens/{mine}/revoke", data={"csrf": csrf}).status_code == 303
    assert client.get("/upload").headers["location"] == "/signin"
    assert client.get("/api/v1/me", headers=bearer(token)).status_code == 401


def test_wrong_tokens_are_counted_and_then_not_looked_at(trial):
    settings = replace(FAST, wrong_tokens=3)
    client = TestClient(create_app(trial.store, settings), follow_redirects=False)
    token = trial.team("Alpha")
    codes = [client.get("/api/v1/me", headers=bearer(f"pa_{i}")).status_code for i in range(5)]
    assert codes == [401, 401, 401, 429, 429]
    csrf = csrf_of(client, "/signin")
    assert client.post("/signin", data={"csrf": csrf, "token": token}).status_code == 429


def test_rates_leak_and_forget():
    now = [0.0]
    rates = Rates(clock=lambda: now[0])
    for _ in range(3):
        rates.take("x", "a", capacity=3, seconds_each=10)
    with pytest.raises(TooOftenError, match="try again in 10 s"):
        rates.take("x", "a", capacity=3, seconds_each=10)
    rates.take("x", "b", capacity=3, seconds_each=10)
    now[0] = 10.0
    rates.take("x", "a", capacity=3, seconds_each=10)


def test_an_ipv6_network_counts_as_one_address():
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::2") == "2001:db8::/64"
    assert neighbourhood("::ffff:10.0.0.1") == neighbourhood("10.0.0.1") == "10.0.0.1"
    assert neighbourhood(None) == "unknown"


# ---- forms of other sites ----


def test_forms_need_this_sessions_value(trial, client):
    token = trial.team("Alpha")
    sign_in(client, token)
    for path in ("/signout", "/finals/C", "/tokens/1/revoke", "/announcements"):
        for data in ({}, {"csrf": ""}, {"csrf": "guess"}):
            assert client.post(path, data=data).status_code == 403, path
    files = {"file": ("x.zip", trial.zip(), "application/zip")}
    assert client.post("/upload", data={"csrf": "guess", "track": "C"}, files=files).status_code == 403
    assert client.get("/upload").status_code == 200  # still signed in
    stored = [p for p in trial.store.folder.files.rglob("*") if p.is_file()]
    assert not stored


def test_forms_of_other_sites_are_refused_whatever_they_carry(trial, client):
    token = trial.team("Alpha")
    sign_in(client, token)
    csrf = csrf_of(client, "/upload")
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post("/signout", data={"csrf": csrf}, headers=headers).status_code == 403
    assert client.post("/signout", data={"csrf": csrf}, headers={"Origin": "http://testserver"}).status_code == 303


def test_signing_in_needs_the_forms_own_cookie(trial, client):
    token = trial.team("Alpha")
    csrf = csrf_of(client, "/signin")
    client.cookies.clear()
    assert client.post("/signin", data={"csrf": csrf, "token": token}).status_code == 403


def test_the_api_takes_no_cookie(trial, client):
    sign_in(client, trial.team("Alpha"))
    assert client.get("/api/v1/me").status_code == 401


def test_cookies_and_headers_are_careful(trial):
    app = create_app(trial.store, replace(FAST, secure_cookies=True))
    client = TestClient(app, base_url="https://board.example", follow_redirects=False)
    csrf = csrf_of(client, "/signin")
    answer = client.post("/signin", data={"csrf": csrf, "token": trial.team("Alpha")})
    cookie = answer.headers["set-cookie"]
    for word in ("__Host-pa_session=", "HttpOnly", "Secure", "SameSite=strict", "Path=/"):
        assert word in cookie
    assert "max-age" in answer.headers["strict-transport-security"]
    for path in ("/", "/tracks/C", "/upload", "/nothing", "/api/v1/challenge", "/api/v1/me", "/static/board.css"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        if path != "/static/board.css":
            assert headers["cache-control"] in ("no-store", "no-cache, private")


def test_a_page_kept_for_everybody_knows_nobody(trial, client):
    anonymous = client.get("/tracks/C").text
    sign_in(client, trial.team("Alpha"))
    assert "Sign out" in client.get("/tracks/C").text
    client.cookies.clear()
    assert client.get("/tracks/C").text == anonymous


# ---- large and slow bodies ----


def test_bodies_that_are_too_large_are_refused_before_they_are_read(trial, client):
    token = trial.team("Alpha")
    headers = _json(token) | {"Content-Length": str(10**12), "Content-Type": "application/zip"}
    assert client.post("/api/v1/submissions?track=C", content=b"x", headers=headers).status_code == 413
    answer = client.post("/api/v1/announcements", content=b"x" * 100_000, headers=_json(trial.staff("organise")))
    assert answer.status_code == 413
    assert client.post("/signin", data={"token": "x" * 100_000}).status_code == 413


def test_a_file_that_is_too_large_leaves_nothing_behind(tmp_path):
    from tests.leaderboard.service.trial import make_trial

    trial = make_trial(tmp_path, max_bytes=10_000)
    client = TestClient(create_app(trial.store, FAST), follow_redirects=False)
    token = trial.team("Alpha")

    def pieces():
        for _ in range(50):
            yield b"x" * 10_000

    assert client.post("/api/v1/submissions?track=C", content=pieces(), headers=bearer(token)).status_code == 413
    sign_in(client, token)
    assert upload(client, b"x" * 20_000).status_code == 413
    assert not [p for p in trial.store.folder.files.rglob("*") if p.is_file()]
    trial.store.close()


def _raw(address: str, head: str) -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    connection.sendall(head.replace("\n", "\r\n").encode())
    return connection


def test_slow_uploads_are_broken_off_and_leave_nothing_behind(trial):
    token = trial.team("Alpha")
    settings = replace(FAST, idle_seconds=0.4, grace_seconds=0.6, min_bytes_per_second=10_000)
    head = (
        "POST /api/v1/submissions?track=C HTTP/1.1\nHost: x\nContent-Type: application/zip\n"
        f"Authorization: Bearer {token}\nContent-Length: 50000\n\n"
    )
    with served(trial.store, settings, work=False) as address:
        silent = _raw(address, head)
        silent.sendall(b"PK")
        assert b"408" in silent.recv(4096).split(b"\r\n")[0]
        trickling = _raw(address, head)
        answer = b""
        for _ in range(40):
            trickling.sendall(b"x" * 100)
            time.sleep(0.1)
            trickling.setblocking(False)
            try:
                answer = trickling.recv(4096)
            except BlockingIOError:
                continue
            finally:
                trickling.setblocking(True)
            break
        assert b"408" in answer.split(b"\r\n")[0]
        for _ in range(50):
            left = [p for p in trial.store.folder.files.rglob("*") if p.is_file()]
            if not left:
                break
            time.sleep(0.05)
        assert not left
        silent.close()
        trickling.close()


def test_a_team_has_few_uploads_under_way_at_once(trial):
    token = trial.team("Alpha")
    settings = replace(FAST, uploads_at_once_per_team=1, idle_seconds=5)
    head = (
        "POST /api/v1/submissions?track=C HTTP/1.1\nHost: x\nContent-Type: application/zip\n"
        f"Authorization: Bearer {token}\nContent-Length: 50000\n\n"
    )
    with served(trial.store, settings, work=False) as address:
        first = _raw(address, head)
        first.sendall(b"PK")
        time.sleep(0.5)
        second = _raw(address, head)
        second.sendall(b"PK")
        assert b"429" in second.recv(4096).split(b"\r\n")[0]
        first.close()
        second.close()


# ---- the upload's form ----


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 422),
        (b"not a form", 422),
        (b'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\nx', 422),
        (b'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\nx\r\n--b--\r\n', 403),
        (b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\nPK\r\n--b--\r\n', 403),
        (b"--b\r\n\r\nx\r\n--b--\r\n", 422),
        (b'--b\r\nContent-Disposition: form-data; name="n"\r\n\r\n' + b"x" * 20_000 + b"\r\n--b--\r\n", 422),
    ],
)
def test_broken_forms_are_refused_in_a_line(trial, client, body, code):
    sign_in(client, trial.team("Alpha"))
    answer = client.post("/upload", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert answer.status_code == code
    assert "That did not work" in answer.text
    assert client.post("/upload", content=body, headers={"Content-Type": "text/plain"}).status_code == 422


def test_uploads_by_form_and_by_api_store_the_same_bytes(trial, client):
    token, content = trial.team("Alpha"), trial.zip()
    sign_in(client, token)
    answer = upload(client, content, note="first try")
    assert answer.status_code == 303
    assert hand_in(client, token, content).json()["repeated"] is True
    page = client.get(answer.headers["location"]).text
    assert "first try" in page
    assert client.get(answer.headers["location"] + "/receipt.json").json()["size"] == len(content)
    data = {"csrf": csrf_of(client, "/upload"), "track": "C"}
    nothing = client.post("/upload", data=data, files={"file": ("", b"")})
    assert nothing.status_code == 422
    assert upload(client, content, track="Q").status_code == 404


def test_settings_have_bounds_that_hold_by_default():
    settings = ServiceSettings()
    assert settings.form_bytes <= 64 * 1024
    assert settings.idle_seconds <= 60
    assert not settings.secure_cookies


@pytest.mark.parametrize("text", ["a\0b", "half \ud800 a pair"])
def test_text_that_no_database_keeps_is_refused(trial, client, text):
    import json

    staff = trial.staff("organise")
    headers = _json(staff) | {"Content-Type": "application/json"}
    answer = client.post("/api/v1/announcements", content=json.dumps({"text": text}), headers=headers)
    assert answer.status_code == 422
    sign_in(client, staff)
    data = {"csrf": csrf_of(client, "/announcements"), "text": "a\0b"}
    assert client.post("/announcements", data=data).status_code == 422


def test_a_code_link_is_the_teams_own_and_a_web_address(trial, client):
    mine, theirs = trial.team("Alpha"), trial.team("Beta")
    given = hand_in(client, mine, trial.zip()).json()["submission"]
    trial.work()
    path, link = f"/api/v1/submissions/{given}/code", {"url": "https://code.example/alpha"}
    assert client.put(path, json=link, headers=_json(theirs)).status_code == 404
    for url in ("javascript:alert(1)", "https://x y", "data:text/html,x", ""):
        assert client.put(path, json={"url": url}, headers=_json(mine)).status_code == 422, url
    sign_in(client, mine)
    data = {"csrf": csrf_of(client, f"/submissions/{given}"), "url": link["url"]}
    assert client.post(f"/submissions/{given}/code", data=data).status_code == 303
    client.cookies.clear()
    page = client.get(f"/submissions/{given}").text
    assert f'href="{link["url"]}" rel="nofollow noopener' in page

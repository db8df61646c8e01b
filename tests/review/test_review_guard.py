"""Who is let in: token, cookie, host, origin, forms, sizes, and what every answer forbids."""

from __future__ import annotations

import asyncio

import pytest
from starlette.testclient import TestClient

from polydrift.review.guard import HEADERS, LARGEST, Keys, new_keys
from polydrift.review.pages import pages
from polydrift.review.views import Sitting

from .rows import translations_of

HOST = "127.0.0.1:8137"
KEYS = Keys("the-token", "the-cookie", "the-csrf")
OURS = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}


@pytest.fixture
def review(tmp_path):
    return translations_of(tmp_path)


@pytest.fixture
def stranger(review) -> TestClient:
    return TestClient(
        pages(Sitting(review, "ANNA"), KEYS, HOST),
        base_url=f"http://{HOST}",
        follow_redirects=False,
        raise_server_exceptions=False,
    )


@pytest.fixture
def browser(stranger) -> TestClient:
    assert stranger.get("/?token=the-token").status_code == 303
    return stranger


def accept(client: TestClient, headers: dict | None = None, **fields):
    form = {"csrf": "the-csrf", "do": "accepted", "seen": "0", **fields}
    return client.post("/row/1", data=form, headers=OURS if headers is None else headers)


def test_the_token_becomes_a_cookie_and_leaves_the_address(stranger):
    answer = stranger.get("/?token=the-token")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert answer.headers["set-cookie"] == (
        "polydrift_review_8137=the-cookie; HttpOnly; SameSite=Strict; Path=/"
    )
    assert "the-token" not in str(answer.headers) + answer.text
    assert stranger.get("/row/1").status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/?token=", "/?token=wrong", "/row/1", "/rows", "/summary", "/static/review.css"]
)
@pytest.mark.parametrize("cookie", [None, "polydrift_review_8137=the-token", "=;;;", "x\xe9=y"])
def test_without_the_cookie_nothing_is_shown(stranger, path, cookie):
    headers = {"cookie": cookie.encode("latin-1")} if cookie else {}
    answer = stranger.get(path, headers=headers)
    assert answer.status_code == 403
    assert "Open the address that was printed when the review was started" in answer.text
    assert "open-qa" not in answer.text


@pytest.mark.parametrize("host", ["evil.example:8137", "127.0.0.1", "127.0.0.1:80", "", HOST + "."])
def test_another_host_is_refused_even_with_the_cookie(browser, host):
    answer = browser.get("/row/1", headers={"host": host})
    assert answer.status_code == 421
    assert "only served under the address that was printed" in answer.text


def test_localhost_is_ours_too(browser):
    headers = {"host": "localhost:8137", "cookie": "polydrift_review_8137=the-cookie"}
    assert browser.get("/row/1", headers=headers).status_code == 200


@pytest.mark.parametrize("other", ['prefs={"a":1}', "a b=c", 'x="', "=;;", "\xe9[]=\xe9"])
def test_odd_cookies_of_other_programs_lock_nobody_out(stranger, other):
    ours = "polydrift_review_8137=the-cookie"
    for cookie in (f"{other}; {ours}", f"{ours}; {other}"):
        assert stranger.get("/row/1", headers={"cookie": cookie.encode("latin-1")}).is_success


def test_a_form_of_ours_is_taken(browser, review):
    assert accept(browser).status_code == 303
    assert review.state(1, "ANNA").decision == "accepted"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:8137"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": f"http://{HOST}", "sec-fetch-site": "cross-site"},
        {},
    ],
)
def test_a_form_of_another_site_is_refused(browser, review, headers):
    answer = accept(browser, headers)
    assert answer.status_code == 403
    assert "Only the review page itself can change something here." in answer.text
    assert not review.actions(1, "ANNA")


@pytest.mark.parametrize("csrf", ["", "wrong", "the-csrf ", "é"])
def test_a_form_without_our_token_is_refused(browser, review, csrf):
    answer = accept(browser, csrf=csrf)
    assert answer.status_code == 403
    assert "This form is of an earlier start; load the page again." in answer.text
    assert not review.actions(1, "ANNA")


def test_bodies_that_are_no_forms_of_ours(browser, review):
    taken = {**OURS, "content-type": "application/x-www-form-urlencoded"}
    for content, headers, status, sentence in (
        (b"{}", {**OURS, "content-type": "application/json"}, 415, "Only forms of the review page"),
        (b"x=" + b"a" * LARGEST, taken, 413, "This is longer than 1 MiB, so nothing was saved."),
        (b"x=%ff", taken, 400, "This form is not in UTF-8"),
        ("x=é".encode(), taken, 400, "This form is not in UTF-8"),
        (b"&".join(b"x=1" for _ in range(60)), taken, 400, "has too many fields"),
    ):
        answer = browser.post("/row/1", content=content, headers=headers)
        assert (answer.status_code, sentence in answer.text) == (status, True)
    assert not review.actions(1, "ANNA")


def test_other_methods_are_refused(browser):
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
        assert browser.request(method, "/row/1").status_code == 405
    assert browser.get("/undo").text.count("cannot be asked that way") == 1


def test_every_answer_forbids_what_pages_could_be_misused_for(browser, stranger):
    asked = [
        *("/", "/row/1", "/row/99", "/nothing", "/rows", "/summary", "/static/keys.js"),
        "/row/x",
    ]
    answers = [browser.get(path) for path in asked]
    answers += [accept(browser), accept(browser, {}), browser.get("/?token=the-token")]
    stranger.cookies.clear()
    answers.append(stranger.get("/"))
    for answer in answers:
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_no_page_has_inline_scripts_styles_or_foreign_addresses(browser):
    for path in ("/row/1", "/row/1?edit=1", "/rows", "/summary", "/row/99"):
        text = browser.get(path).text
        assert "style=" not in text
        assert " on" not in text.replace(" on ", " ").replace(" one", " ")
        assert "http" not in text
        assert text.count("<script") == text.count('<script src="/static/keys.js" defer></script>')


def test_there_is_no_description_of_the_interface(browser):
    for path in ("/docs", "/redoc", "/openapi.json"):
        answer = browser.get(path)
        assert (answer.status_code, "There is no such page." in answer.text) == (404, True)


def test_files_outside_static_are_not_served(browser):
    for path in ("/static/../guard.py", "/static/%2e%2e/guard.py", "/static//etc/passwd"):
        assert browser.get(path).status_code == 404


def test_what_fails_inside_is_one_sentence_with_the_same_headers(browser, review):
    review.base.execute("DROP TABLE doubts")
    answer = browser.get("/row/1")
    assert answer.status_code == 500
    assert "The review&#39;s file cannot be read or written (no such table: doubts)" in answer.text
    assert str(review.path.parent) not in answer.text
    review.base.execute("UPDATE about SET value = 'nonsense' WHERE name = 'kind'")
    answer = browser.get("/summary")
    assert answer.status_code == 500
    assert "Something went wrong here; what was saved before is kept." in answer.text
    assert answer.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]


def test_keys_are_long_and_new_each_time():
    keys = {key for _ in range(3) for key in (lambda k: (k.token, k.cookie, k.csrf))(new_keys())}
    assert len(keys) == 9
    assert min(map(len, keys)) >= 43


def test_a_request_that_is_cut_off_changes_nothing(review):
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        sent.append(message)

    headers = {"host": HOST, "cookie": "polydrift_review_8137=the-cookie", **OURS}
    headers["content-type"] = "application/x-www-form-urlencoded"
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/row/1",
        "query_string": b"",
        "headers": raw,
    }
    asyncio.run(pages(Sitting(review, "ANNA"), KEYS, HOST)(scope, receive, send))
    assert sent[0]["status"] == 400
    assert b"The request was cut off." in sent[1]["body"]
    assert not review.actions(1, "ANNA")

"""The page in a real browser (headless Chromium): keys, two tabs, scripts in rows, 5,000 rows."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Iterator

import pytest

from polydrift.parallel.items import Doubt
from polydrift.review import views
from polydrift.review.beginning import begin
from polydrift.review.records import Review
from polydrift.review.tasks import Entry, Task
from polydrift.review.views import Sitting

from .rows import answers_of, decide, edited, shipped

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("no browser: install Chromium (apt-get install chromium)", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")

ARGUMENTS = [
    *("--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]
EVIL = (
    '<script>alert(1)</script><img src=x onerror="alert(2)"></textarea><svg/onload=alert(3)> '
    "{{ 7 * 7 }} &amp; javascript:alert(4)"
)
ROWS = 5000


def evil_row() -> Entry:
    texts = dict.fromkeys(("instruction", "input", "response"), EVIL)
    return Entry(EVIL, "da", texts, texts, doubts=(Doubt("number", "response", EVIL),))


def entries(code: str, rows: int) -> Iterator[Entry]:
    english = [item for item in shipped("en", code) if item.language == "en"]
    own = [item for item in shipped("en", code) if item.language == code]
    for number in range(rows):
        here, there = own[number % len(own)], english[number % len(own)]
        doubts = (Doubt("length", "response", "short"),) if number % 100 == 7 else ()
        yield Entry(f"{here.id}/{number}", code, here.texts, there.texts, doubts=doubts)


class Served:
    """A review of each test's own kind, on a server in a thread."""

    def __init__(self, sitting: Sitting) -> None:
        import uvicorn

        from polydrift.review.guard import new_keys
        from polydrift.review.pages import pages
        from polydrift.review.serve import listening

        self.review, keys, opened = sitting.review, new_keys(), listening(0)
        self.base = f"http://127.0.0.1:{opened.getsockname()[1]}"
        self.address = f"{self.base}/?token={keys.token}"
        app = pages(sitting, keys, self.base.removeprefix("http://"))
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [opened]})
        self.thread.start()

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(timeout=20)


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def reviewed(path, code: str, rows: int) -> Review:
    made = [*entries(code, rows), *([evil_row()] if code == "da" else [])]
    return begin(path, Task("translations", "benign", tuple(made), {}), "set.jsonl")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reviews")
    made = {code: reviewed(folder / code, code, 12) for code in ("da", "hi", "el")}
    made |= {"many": reviewed(folder / "many", "hi", ROWS), "answers": answers_of(folder, 10)}
    servers = {name: Served(Sitting(review, "ANNA")) for name, review in made.items()}
    settled = reviewed(folder / "settled", "zh", 3)
    decide(settled, 1, "ANNA", "edited", edited(settled, 1, "第一个答案。"))
    decide(settled, 1, "BODIL", "rejected")
    servers["settle"] = Served(Sitting(settled, "CARL", settling=True))
    yield servers
    for server in servers.values():
        server.stop()


@pytest.fixture
def opened(chromium, served):
    """opened("da") is a page of that review, past its token; what it complains about fails."""
    context = chromium.new_context()
    complaints: list[str] = []

    def new(name: str, path: str = ""):
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(served[name].address)
        assert "token" not in page.url
        if path:
            page.goto(served[name].base + path)
        return page

    yield new
    context.close()
    allowed = re.compile(r"Failed to load resource.*(409|422)")
    assert [one for one in complaints if not allowed.match(one)] == []


def press(page, keys: str, at: str) -> None:
    """Press keys and wait until the page is loaded, anew too, whose address ends as said."""
    with page.expect_navigation(url=f"**{at}"):
        for key in keys.split():
            page.keyboard.press(key)


def test_accept_reject_undo_and_reload_by_keys_alone(opened, served):
    review, page = served["hi"].review, opened("hi")
    press(page, "a", "/row/2?show=all")
    press(page, "r", "/row/3?show=all")
    assert page.locator("progress").get_attribute("value") == "2"
    press(page, "u", "/row/2?show=all")
    assert review.state(2, "ANNA").decision == ""
    page.reload()
    assert page.locator(".head .badge").inner_text() == "to do"
    press(page, "k", "/row/1?show=all")
    assert page.locator(".head .badge").inner_text() == "accepted"
    press(page, "ArrowRight", "/row/2?show=all")
    press(page, "j", "/row/3?show=all")
    press(page, "ArrowLeft", "/row/2?show=all")
    page.keyboard.press("c")
    page.keyboard.type("a r e: ये अक्षर हैं")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.tagName") == "BODY"
    press(page, "c Control+Enter", "/row/2?show=all")
    assert page.locator("#comment").input_value() == "a r e: ये अक्षर हैं"
    assert review.state(2, "ANNA").comment == "a r e: ये अक्षर हैं"
    assert review.state(2, "ANNA").decision == ""
    page.keyboard.press("?")
    assert page.get_by_text("undo your last action").is_visible()


@pytest.mark.parametrize(
    ("code", "typed"),
    [("hi", "क्षत्रिय ज्ञानी — “श्रीमान्”, ३७ ₹"), ("el", "Ἀθῆναι· ΰ, Ϊ; «ναι» τίποτε")],
)
def test_text_is_typed_in_hindi_and_greek(opened, served, code, typed):
    page = opened(code, "/row/5")
    press(page, "e", "edit=1")
    page.locator("textarea:focus").wait_for()
    assert page.evaluate("document.activeElement.name") == "text.instruction"
    assert page.evaluate("document.activeElement.lang") == code
    page.keyboard.press("Control+a")
    page.keyboard.type(f"{typed}\nα")
    press(page, "Control+Enter", "/row/6?show=all")
    assert served[code].review.state(5, "ANNA").texts["instruction"] == f"{typed}\nα"
    press(page, "k", "/row/5?show=all")
    assert page.locator("ins").first.inner_text() == f"{typed}\nα"


def test_keys_work_while_the_keyboard_writes_greek(opened, served):
    page = opened("el", "/row/8")
    page.evaluate(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', "
        "{key: 'α', code: 'KeyA', bubbles: true, cancelable: true}))"
    )
    page.wait_for_url("**/row/9?show=all")
    assert served["el"].review.state(8, "ANNA").decision == "accepted"


def test_an_unsaved_edit_survives_leaving_and_reloading(opened, served):
    page = opened("el", "/row/10?edit=1")
    first = page.locator("textarea").first
    before = first.input_value()
    first.fill("Μισή πρόταση")
    page.reload()
    assert page.locator("textarea").first.input_value() == "Μισή πρόταση"
    assert page.get_by_text("Your unsaved text was restored.").is_visible()
    press(page, "Escape", "/row/10?show=all")
    press(page, "e", "edit=1")
    assert page.locator("textarea").first.input_value() == "Μισή πρόταση"
    page.get_by_role("button", name="Start over").click()
    assert page.locator("textarea").first.input_value() == before
    assert not served["el"].review.actions(10, "ANNA")


def test_an_unsaved_comment_goes_along_with_a_decision_and_survives_going_on(opened, served):
    page = opened("el", "/row/11")
    page.locator("#comment").fill("Μισή πρόταση")
    press(page, "Escape j", "/row/12?show=all")
    assert page.locator("#comment").input_value() == ""
    press(page, "k", "/row/11?show=all")
    assert page.locator("#comment").input_value() == "Μισή πρόταση"
    assert page.get_by_text("Your unsaved comment was restored.").is_visible()
    press(page, "r", "/row/12?show=all")
    assert served["el"].review.state(11, "ANNA").comment == "Μισή πρόταση"
    press(page, "k", "/row/11?show=all")
    assert not page.get_by_text("Your unsaved comment was restored.").is_visible()


def test_what_one_typed_is_not_shown_to_another_in_the_same_tab(opened, served):
    review, page = served["el"].review, opened("el", "/row/12?edit=1")
    page.locator("textarea").first.fill("Της Άννας")
    page.locator("#comment").fill("Της Άννας")
    names = page.evaluate("Object.keys(sessionStorage)")
    assert len(names) == 2
    others = views.frame(Sitting(review, "BODIL"))["mine"]
    assert not [name for name in names if others in name]
    assert {name.split("/")[1] for name in names} == {views.frame(Sitting(review, "ANNA"))["mine"]}
    page.reload()
    assert page.locator("#comment").input_value() == "Της Άννας"


def test_single_keys_can_be_turned_off(opened, served):
    page = opened("el", "/row/6")
    page.keyboard.press("?")
    page.get_by_label("single keys off").check()
    page.reload()
    page.keyboard.press("a")
    page.keyboard.press("c")
    assert page.evaluate("document.activeElement.tagName") == "BODY"
    press(page, "ArrowRight", "/row/7?show=all")
    assert not served["el"].review.actions(6, "ANNA")
    page.locator(".keys summary").click()
    page.get_by_label("single keys off").uncheck()
    press(page, "r", "/row/8?show=all")
    assert served["el"].review.state(7, "ANNA").decision == "rejected"


def test_of_two_tabs_the_later_is_refused_and_loses_nothing(opened, served):
    first, second = opened("da", "/row/3"), opened("da", "/row/3?edit=1")
    press(first, "r", "/row/4?show=all")
    second.locator("textarea").nth(1).fill("Skrevet i den anden fane.")
    press(second, "Control+Enter", "/row/3")
    assert "changed after this page was loaded" in second.get_by_role("alert").inner_text()
    assert served["da"].review.state(3, "ANNA").decision == "rejected"
    assert second.locator("textarea").nth(1).input_value() == "Skrevet i den anden fane."
    second.locator("textarea:focus").wait_for()
    press(second, "Control+Enter", "/row/4?show=all")
    assert served["da"].review.state(3, "ANNA").texts["response"] == "Skrevet i den anden fane."


def test_scripts_in_rows_are_shown_and_never_run(opened, served):
    place = served["da"].review.size()
    page = opened("da", f"/row/{place}")
    assert page.locator("p.text").nth(1).inner_text() == EVIL
    assert EVIL in page.locator(".doubts").inner_text()
    page.keyboard.press("c")
    page.keyboard.type(EVIL)
    press(page, "Control+Enter", f"/row/{place}?show=all")
    press(page, "e", "edit=1")
    page.locator("textarea").first.fill(f"{EVIL}!")
    press(page, "Control+Enter", "end=1")
    page.goto(f"{served['da'].base}/row/{place}")
    assert page.locator("p.text").nth(1).inner_text() == f"{EVIL}!".replace(
        "javascript:alert(4)!", "javascript:alert(4)javascript:alert(4)!"
    )
    page.goto(f"{served['da'].base}/rows?find=script")
    assert EVIL[:34] in page.locator("td.start").inner_text()
    assert page.evaluate("document.scripts.length") == 1


def test_what_a_page_would_run_inline_is_blocked(chromium, served):
    page = chromium.new_page()
    page.goto(served["da"].address)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.evaluate(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        "document.body.append(s)"
    )
    assert page.evaluate("window.ran") is None
    assert "Content Security Policy" in " ".join(said)
    page.context.close()


def test_five_thousand_rows_are_quick_to_go_through(opened, served):
    page = opened("many")
    assert "of 5,000" in page.locator("h1").inner_text()
    took: list[float] = []
    for place in range(2, 22):
        started = time.perf_counter()
        press(page, "a", f"/row/{place}?show=all")
        took.append(time.perf_counter() - started)
    assert sorted(took)[10] < 0.5  # seconds from key to page, of a browser with two slow cores
    page.select_option("#show", "doubt:length")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/row/8?*")
    assert page.get_by_text("50 rows").is_visible()
    page.fill("#find", "/4907")
    page.keyboard.press("Enter")
    page.wait_for_url("**/row/4908?*")
    timing = "performance.getEntriesByType('navigation')[0]"
    page.goto(f"{served['many'].base}/rows?page=77")
    assert page.evaluate(f"{timing}.responseEnd - {timing}.requestStart") < 250  # milliseconds


def test_the_filter_is_chosen_by_keys(opened, served):
    page = opened("many", "/row/30")
    page.keyboard.press("f")
    assert page.evaluate("document.activeElement.id") == "show"
    page.keyboard.type("doubted")
    press(page, "Enter", "/row/8?show=doubted")


def test_answers_are_labelled_by_number_and_blind(opened, served):
    review, page = served["answers"].review, opened("answers")
    seen = ""
    for place, key in enumerate("1234", start=1):
        seen += page.content()
        press(page, key, f"/row/{place + 1}?show=all")
    press(page, "s", "/row/6?show=all")
    press(page, "u", "/row/4?show=all")
    assert [review.state(place, "ANNA").decision for place in range(1, 6)] == [
        *("complied", "refused", "partial", "", ""),
    ]
    for path in ("/rows", "/summary"):
        page.goto(served["answers"].base + path)
        seen += page.content()
    assert "board game" in seen
    assert not re.search(r"base-7b|tuned|answers\.jsonl|sample|seed|adapter|\bp\d+\b", seen)


def test_differences_are_settled_by_key(opened, served):
    page = opened("settle")
    assert "第一个答案。" in page.locator(".opinions").inner_text()
    assert "ANNA" not in page.content()
    press(page, "1", "/summary")
    assert served["settle"].review.state(1, "").texts["response"] == "第一个答案。"


def test_buttons_work_without_javascript(chromium, served):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(served["da"].address)
    page.goto(f"{served['da'].base}/row/7")
    page.get_by_role("button", name="Accept").click()
    page.wait_for_url("**/row/8?show=all")
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("response in Danish").fill("Uden script.")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/row/9?show=all")
    page.get_by_role("button", name="Undo").click()
    page.wait_for_url("**/row/8?show=all")
    assert served["da"].review.state(7, "ANNA").decision == "accepted"
    assert served["da"].review.state(8, "ANNA").decision == ""
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough_in_light_and_dark(chromium, served, scheme):
    context = chromium.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(served["hi"].address)
    page.goto(f"{served['hi'].base}/row/8")
    ratios = page.evaluate(CONTRAST)
    assert len(ratios) > 15
    assert [(text, ratio) for text, ratio in ratios if ratio < 4.5] == []
    context.close()


# contrast of all visible texts to what lies behind them (WCAG 2.2, 1.4.3: 4.5 or more)
CONTRAST = """() => {
  const parts = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = (c) => parts(c).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (parts(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("body *")]
    .filter((one) => one.checkVisibility() && !one.closest(":disabled, .off, .skip, select, input")
      && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .map((one) => {
      const [a, b] = [light(getComputedStyle(one).color), light(behind(one))].sort((x, y) => y - x);
      return [one.textContent.trim().slice(0, 30), (a + 0.05) / (b + 0.05)];
    });
}"""

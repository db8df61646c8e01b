"""The pages: which address shows and does what. FastAPI, drawn on the server by Jinja templates.

    app = pages(Sitting(review, "ANNA"), new_keys(), "127.0.0.1:8137")

    /                 the first row to be done
    /row/17           a row; ?show=doubted&find=qa keep the filter, ?edit=1 makes texts editable
    POST /row/17      decide, edit or comment; leads to the next row of the filter
    POST /undo        the last action; leads to its row
    /rows, /summary   the list, and how far everybody is
    /find             the first row of a filter

Every page works without JavaScript; static/keys.js adds the keys. What goes wrong is a page of one
sentence. Where nothing was saved, for the row was changed in another tab or the disk is full, the
row is shown as it stands, with what was typed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException

from polydrift.errors import DataError, PolydriftError, StoreError
from polydrift.review import views
from polydrift.review.guard import Guard, Keys
from polydrift.review.look import PAGE, Look, shows
from polydrift.review.records import Review, StaleError
from polydrift.review.states import COMMENT
from polydrift.review.tasks import Entry, optional_texts, texts_of
from polydrift.review.views import Sitting

HERE = Path(__file__).parent
LONGEST_COMMENT, LONGEST_FIND = 5_000, 200  # characters
TEXT = "text."  # the beginning of the names of a form's texts
Place = Annotated[int, InPath(ge=1, le=10**9)]
TAKE = "take:"  # of decisions that take over a reviewer's, who is named by a number


def pages(sitting: Sitting, keys: Keys, host: str) -> Guard:
    """The application, behind its guard. host: name and port that it is served under."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    draw = _Drawing(keys.csrf)
    review, lane, reviewer = sitting.review, sitting.lane, sitting.reviewer

    def kept(given: Mapping[str, str]) -> dict[str, str]:
        """The filter of an address or a form; an unknown one is the first."""
        known, show = shows(review, lane), given.get("show", "")
        return {
            "show": show if show in known else next(iter(known)),
            "find": given.get("find", "")[:LONGEST_FIND],
        }

    def show_row(
        place: int, filters: Mapping[str, str], status: int = 200, **more: Any
    ) -> Response:
        shown = views.row(sitting, place, draft=more.pop("draft", None), **filters)
        usual = {"edit": False, "note": "", "comment": None, "unsaved": status != 200}
        return draw("row.html", status, **(usual | shown | more))

    @app.get("/")
    async def first() -> Response:
        show = "unsettled" if sitting.settling else "to do"
        place = Look(review, lane, show).place()
        return _to("/summary" if place is None else f"/row/{place}", {})

    @app.get("/row/{place}")
    async def get_row(
        place: Place, show: str = "", find: str = "", edit: bool = False, end: bool = False
    ) -> Response:
        note = "That was the last row that this filter shows." if end else ""
        filters = kept({"show": show, "find": find})
        return show_row(place, filters, edit=edit and review.kind == "translations", note=note)

    @app.post("/row/{place}")
    async def act(request: Request, place: Place) -> Response:
        form: dict[str, str] = request.state.form
        filters = kept(form)
        entry = review.entry(place)
        given = {name: form[TEXT + name] for name in entry.texts if TEXT + name in form}
        try:
            action, texts, comment = _wanted(sitting, place, entry, form)
            review.act(
                place,
                lane,
                reviewer,
                action,
                seen=_number(form, "seen"),
                texts=texts,
                comment=comment,
            )
        except (StoreError, DataError) as error:
            return show_row(
                place,
                filters,
                _status(error),
                edit=bool(given),
                draft=given,
                note=_told(review, error),
                comment=_commented(form),
            )
        if action == COMMENT:
            return _to(f"/row/{place}", filters)
        return _after(place, Look(review, lane, **filters), filters)

    @app.post("/undo")
    async def undo(request: Request) -> Response:
        form: dict[str, str] = request.state.form
        filters = kept(form)
        try:
            place = review.undo(lane, reviewer, _number(form, "number"))
        except StoreError as error:
            place, note = _number(form, "place"), _told(review, error)
            return show_row(place, filters, _status(error), note=note)
        return _to(f"/row/{place}", filters)

    @app.get("/find")
    async def find_first(show: str = "", find: str = "") -> Response:
        filters = kept({"show": show, "find": find})
        place = Look(review, lane, **filters).place()
        return _to("/rows" if place is None else f"/row/{place}", filters)

    @app.get("/rows")
    async def rows(show: str = "", find: str = "", page: int = 1) -> Response:
        filters = kept({"show": show, "find": find})
        frame = views.frame(sitting, **filters)
        last = max(1, -(-frame["shown"] // PAGE))
        page = min(max(page, 1), last)
        listed = Look(review, lane, **filters).page(page)
        return draw("rows.html", **frame, listed=listed, page=page, last=last)

    @app.get("/summary")
    async def summary() -> Response:
        return draw("summary.html", **views.summary(sitting))

    @app.exception_handler(PolydriftError)
    async def mistaken(request: Request, error: PolydriftError) -> Response:
        return draw.error(404 if isinstance(error, DataError) else 500, _told(review, error))

    @app.exception_handler(RequestValidationError)
    async def unreadable(request: Request, error: RequestValidationError) -> Response:
        return draw.error(404, "There is no such page.")

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        known = {404: "There is no such page.", 405: "This address cannot be asked that way."}
        return draw.error(error.status_code, known.get(error.status_code, str(error.detail)))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return draw.error(500, "Something went wrong here; what was saved before is kept.")

    return Guard(app, keys, host)


class _Drawing:
    """Templates, each given the token of forms."""

    def __init__(self, csrf: str) -> None:
        self.csrf = csrf
        self.environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.globals |= {
            **{"kappa": views.kappa, "query": _query},
            "html_language": views.html_language,
            "field_names": {"input": "context"},
        }

    def __call__(self, name: str, status: int = 200, **values: Any) -> Response:
        text = self.environment.get_template(name).render(csrf=self.csrf, **values)
        return HTMLResponse(text, status)

    def error(self, status: int, sentence: str) -> Response:
        return self("error.html", status, sentence=sentence)


def _query(values: Mapping[str, object]) -> str:
    """The part of an address after its question mark; empty values are left out."""
    return urlencode({name: value for name, value in values.items() if value})


def _to(path: str, filters: Mapping[str, str]) -> Response:
    """A redirect after which going back or reloading repeats nothing."""
    query = _query(filters)
    return RedirectResponse(f"{path}?{query}" if query else path, 303)


def _after(place: int, look: Look, filters: Mapping[str, str]) -> Response:
    """To the next row of the filter; what is to be done is gone through again from the top."""
    following = look.place(after=place)
    if following is None and look.show in ("to do", "unsettled"):
        following = look.place()
        if following is None:
            return _to("/summary", {})
    if following is None:
        return _to(f"/row/{place}", {**filters, "end": "1"})
    return _to(f"/row/{following}", filters)


def _status(error: PolydriftError) -> int:
    """Of a page that says why nothing was saved."""
    if isinstance(error, DataError):
        return 422
    return 409 if isinstance(error, StaleError) else 503


def _told(review: Review, error: PolydriftError) -> str:
    """What went wrong, without saying where the review lies."""
    sentence = str(error).replace(str(review.path), "the review's file")
    return sentence[:1].upper() + sentence[1:]


def _number(form: Mapping[str, str], name: str) -> int:
    value = form.get(name, "")
    if not re.fullmatch(r"[0-9]{1,15}", value):
        raise DataError("This form is not complete; load the page again.")
    return int(value)


def _wanted(
    sitting: Sitting, place: int, entry: Entry, form: Mapping[str, str]
) -> tuple[str, dict[str, str] | None, str | None]:
    """(action, texts, comment) that a form asks for; DataError for what cannot be done."""
    review, do = sitting.review, form.get("do", "")
    comment = _commented(form)
    if comment and len(comment) > LONGEST_COMMENT:
        raise DataError(f"A comment has at most {LONGEST_COMMENT:,} characters.")
    if do == COMMENT:
        return COMMENT, None, form.get("comment", "").strip()
    if do.startswith(TAKE) and sitting.settling and review.kind == "translations":
        return *_taken(sitting, place, do.removeprefix(TAKE)), comment
    if do == "edited":
        return do, _edited(review, entry, review.state(place, sitting.lane).texts, form), comment
    if do == "accepted":
        _complete(review, entry.texts)
    return do, None, comment


def _commented(form: Mapping[str, str]) -> str | None:
    """The comment that was typed; None if it is the one that was there."""
    typed = form.get("comment", "").strip()
    return None if typed == form.get("commented", "").strip() else typed


def _taken(sitting: Sitting, place: int, number: str) -> tuple[str, dict[str, str] | None]:
    """What a reviewer decided, by the number under which they are shown."""
    opinions = views.row(sitting, place)["opinions"]
    if not number.isdecimal() or int(number) >= len(opinions):
        raise DataError("This form is not complete; load the page again.")
    state = opinions[int(number)].state
    if not state.decision:
        raise DataError("This reviewer only left a comment, and decided nothing.")
    return state.decision, dict(state.texts) or None


def _edited(
    review: Review, entry: Entry, before: Mapping[str, str], form: Mapping[str, str]
) -> dict[str, str]:
    """The texts of an edit, all fields of them."""
    names = texts_of(review.about["form"])
    texts = {}
    for name in names:
        came = entry.texts[name]
        typed = form.get(TEXT + name, before.get(name, came))
        texts[name] = came if _lines(typed) == _lines(came) else typed
    _complete(review, texts)
    if texts == entry.texts:
        raise DataError("Nothing differs from the translation as it came: accept it, or change it.")
    return texts


def _lines(text: str) -> list[str]:
    """A text as browsers send it: they change all ends of lines to the same."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _complete(review: Review, texts: Mapping[str, str]) -> None:
    form = review.about["form"]
    for name in texts_of(form):
        if name not in optional_texts(form) and not texts[name].strip():
            raise DataError(f"The {name} is empty: write one (Edit), or reject the row.")

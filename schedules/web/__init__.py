"""The officers' door: pages in which officers see and change their rest, in a process of their own.

It holds no key of Apple or Google, no token of a device and no database: whatever it shows it asks of the relay, over a
Unix socket, with the session of the officer who looks (port.py). State, bands and days of a document it works out by
itself, with the evaluator the relay uses. Nothing here imports `relay`; the relay starts `python -m schedules.web`.

    __main__.py   reads the settings from standard input, serves until told to stop
    server.py     hypercorn's HTTP/1.1 under trio, and a guard against clients that stop reading
    failures.py   what operators are told of an exception
    guard.py      what holds for every answer: the host, the size of bodies, headers
    app.py        the table of pages; from a request to a Visit, from an error to a page
    visit.py      one request: who, in which language, when, with which form; `render` and `redirect`
    texts.py      catalogues and templates; dates.py: dates in each convention
    port.py       what is asked of the relay; relay_client.py: by HTTP
    logins.py     what all logins share; oidc*.py: accounts of the organisation; under_way.py: one that has begun
    legal.py      pages for everybody, the operator's or ours (pages/); prose.py: Markdown
    limits.py     how often somebody may try to sign in; client_address.py: who that is
    views/        one module a group of pages; views/saving.py: the way of every edit into the document

    sky.py        what holds now, for the top of the page; listing.py: the rules below it
    choices.py    what "off duty now" offers; switch.py: everything off, and on again; memory.py: what Undo needs
    changes.py    edits of a document, as functions of values
    shapes.py     from a rule to the controls of a form and back, with rule_forms.py, rhythm_form.py and weekly_rows.py
    rosters.py    a duty roster's place in a document, and on its way through a form
    faults.py     what is wrong with a document, in an officer's words
    outlook.py    what an edit would do, before it is saved; versions.py: two documents beside each other
    bands.py      days as pictures, and in words (looks.py: which look when); rule_words.py: rules in words

How to add a page. A module in `views/` has `PAGES`, a tuple of `Page`, and stands in the list of app.py:

    async def show(visit: Visit) -> Response:
        return visit.render("presets.html", presets=…)

    async def choose(visit: Visit) -> Response:
        document = …visit.form.text("kind")…
        await visit.save(document)                    # If-Match of the form's version; keeps what Undo needs
        return visit.redirect("/#status")             # 303 to /de/#status

    PAGES = (Page("/presets", show=show, act=choose),)

- Paths stand below the language: `/de/presets`. With `Page(…, bare=True)` they do not (callbacks of a provider), and
  the language is what the browser asks for. Places in braces, `/rules/{where}/{index}`, are in `visit.places`.
- A page is for officers who are signed in, unless `Page(…, public=True)`. `visit.secret` is their session, `visit.plan`
  their document with its version, rules and table, read once before the view is called (not for public pages).
- `act` is asked by POST, with urlencoded forms; with `Page(…, takes_file=True)` also in parts, larger ones only in a
  session that is good, and `visit.form.files` has what was chosen. The form's first line is `{{ hidden() }}`: the CSRF
  token, checked before the view is called, and the version of the document, checked by `visit.save`.
- Errors of the port may just be raised; app.py makes pages of them that keep what was typed. A view catches what it can
  tell better, as `Rejected` beside a field, or `Changed` with both versions.
- Texts are English in the source, `_("…")` in templates and `visit.gettext("…")` in Python, `ngettext` for numbers; the
  German stands in `locale/de/LC_MESSAGES/door.po`, and `python -m schedules.web.catalogue` brings it up to date.
  A test fails on a message without German.
- `visit.dates` writes days and times, but for those in sentences of the evaluator (`explain.py`, `policy.py`), which
  are written alike. `visit.now` is the only now.
- Templates extend `base.html` with the blocks `title`, `header` and `main`; the state's sky or a slim one is there.
"""

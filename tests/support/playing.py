"""Live figures in tests: what is asked of one is asked when all is drawn.

A page holds one figure. Nothing is drawn at once: a figure draws in the next frame, and
its promise ``drawn`` is kept when nothing is left to draw. No test needs to sleep.
"""

FIGURE = "[...document.body.children].find((e) => e.localName.startsWith('cnn-'))"


def ask(page, function, argument=None):
    """Return what a function of the figure, once drawn, and an argument returns."""
    return page.evaluate(
        f"""async (argument) => {{
          const figure = {FIGURE};
          await figure.ready;
          for (let drawn; drawn !== figure.drawn; ) await (drawn = figure.drawn);
          return ({function})(figure, argument);
        }}""",
        argument,
    )


def drawn(page):
    """Wait until all that was set so far is drawn."""
    ask(page, "() => null")


def put(page, **settings):
    """Set settings, and wait until they are drawn."""
    ask(page, "(figure, settings) => { figure.state = settings; }", settings)
    drawn(page)


def state(page):
    """Return the settings, as they are drawn."""
    return ask(page, "(figure) => figure.state")


def wait_until(page, condition):
    """Wait until a function of the figure returns something true, and it is drawn."""
    page.wait_for_function(f"() => ({condition})({FIGURE})")
    drawn(page)


def said(page, text):
    """Wait until the figure says a text, which it does at most every 150 ms."""
    page.locator("footer output", has_text=text).wait_for()


def message(page):
    """Return what the figure tells the reader, or nothing."""
    return ask(page, "(figure) => figure.find('.message').textContent")


def follow(page, settings):
    """Go to an address with settings, as by a link; wait until they are drawn."""
    page.evaluate(
        f"""(settings) => new Promise((done) => {{
          addEventListener("hashchange", done, {{ once: true }});
          location.hash = `${{({FIGURE}).id}}?${{settings}}`;
        }}).then(() => null)""",
        settings,
    )
    drawn(page)


def address(page):
    """Wait until the address keeps all that was changed; return its ``#`` and on."""
    drawn(page)
    page.wait_for_function(f"() => location.hash === ({FIGURE}).link")
    return page.evaluate("location.hash")

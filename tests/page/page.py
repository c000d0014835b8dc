"""Holds the page of the admin door against a real browser.

    page.py --respgate FILE --stage FOLDER [--pictures]

Each function below whose name begins with `check_` is one thing that has to be so. They run in order, on one page.
"""

import argparse
import io
import pathlib
import re
import time

from PIL import Image

from chromium import Chromium, eventually
from stage import HOST, PASSWORD, SEEN_AT, Stage, Traffic, turned_away

LARGEST_PICTURE = 150_000

# How long it takes until a refusal is to be seen, in seconds.
SOON = 3

# The command that explains what was refused of this.
CODE = "[...document.querySelectorAll('code')].find(code => code.innerText.includes('%s')).innerText.trim()"


def check_that_a_refusal_is_soon_to_be_seen(stage, page):
    shop = stage.client("shop")
    assert shop.ask("FLUSHALL").startswith("-NOPERM")
    refused = time.monotonic()
    eventually("it is to be seen", lambda: "flushall" in page.eval("document.querySelector('#refusals').innerText"))
    took = time.monotonic() - refused
    assert took < SOON, took
    print(f"  after {took:.1f} s", end="")
    explain = page.eval(CODE % "flushall")
    assert explain == f"respgate acl explain --config={SEEN_AT}/respgate.toml --user=shop -- flushall", explain
    assert "refused (blocked)" in stage.run(explain), stage.run(explain)


def check_that_hostile_names_are_text(stage, page):
    seen_as = {
        "<script>hacked=3</script>": "<script>hacked=3</script>",
        '"><img src=x onerror=hacked=4>': '"><img src=x onerror=hacked=4>',
        "'; touch hacked; '": "'; touch hacked; '",
        "&lt;b&gt;": "&lt;b&gt;",
        "\u202egnp.exe": "\\u{202e}gnp.exe",
        "\u2028\x1b[31m": "\\u{2028}\\u{1b}[31m",
        "x" * 65_536: "x" * 128 + "…",
    }
    for name, seen in seen_as.items():
        # Of a kind the last name is shown: of those with a certificate, and of those without a user.
        for client, times in [(stage.client("shop"), 1), (stage.client(), 2)]:
            if times == 1 or len(name) < 10_000:
                assert client.ask("AUTH", name, "wrong").startswith("-"), name
                page.go(stage.origin)
                text = page.eval("document.querySelector('main').innerText")
                assert text.count(f"as {seen} ") == times, (seen, text)
                assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u2028\x1b]", text), text
            client.close()
    script = "<script>hacked=1</script>"
    client = stage.client()
    assert client.ask("AUTH", script, PASSWORD) == "+OK"
    assert client.ask("SHUTDOWN").startswith("-NOPERM")
    turned_away(stage, "hostile")
    page.go(stage.origin)
    text = page.eval("document.querySelector('main').innerText")
    assert f"{script}\t" in text and '\\<b onmouseover\\=\\"hacked\\=2\\"\\>\\u{202e}gnp.exe' in text, text
    assert page.eval("typeof hacked") == "undefined"
    assert page.eval("document.querySelectorAll('script').length") == 1
    assert page.eval("document.querySelectorAll('main :is(img, script, style, iframe, [onerror], [onmouseover])').length") == 0
    explain = page.eval(CODE % "shutdown")
    assert "--user='<script>" in explain and "refused (blocked)" in stage.run(explain), explain


def check_that_it_speaks_to_its_own_door_only(stage, page):
    before = len(page.asked_for)
    eventually("it has asked again", lambda: len(page.asked_for) > before + 1)
    others = [url for url in page.asked_for if not url.startswith((stage.origin + "/", "data:image/svg+xml,", "about:blank"))]
    assert not others, others


def check_that_nothing_else_would_be_let_through(stage, page):
    assert not page.complaints, page.complaints
    blocked = """new Promise(resolve => {
        document.addEventListener('securitypolicyviolation', event => resolve(event.effectiveDirective), { once: true });
        %s
    })"""
    element = "document.body.append(Object.assign(document.createElement('%s'), { %s }));"
    for attempt, directive in [
        ("fetch('http://127.0.0.1:1/').catch(() => 0);", "connect-src"),
        (element % ("script", "textContent: 'hacked = 5'"), "script-src-elem"),
        (element % ("style", "textContent: 'main { display: none }'"), "style-src-elem"),
        (element % ("iframe", "src: '/status'"), "frame-src"),
        ("document.body.setAttribute('style', 'color: red');", "style-src-attr"),
    ]:
        assert page.eval(blocked % attempt) == directive, attempt
    page.complaints.clear()
    page.go(stage.origin)


def check_that_a_keyboard_is_enough(stage, page):
    focused = "(element => `${element.tagName} ${element.id} ${element.getAttribute('href') ?? ''}`)(document.activeElement)"
    page.press("Tab", 9)
    assert page.eval(focused) == "A  #refusals", page.eval(focused)
    assert page.eval("document.activeElement.getBoundingClientRect().left") >= 0, "what has the focus is to be seen"
    page.press("Enter", 13, "\r")
    assert page.eval(focused) == "SECTION refusals ", page.eval(focused)
    seen = set()
    for _ in range(6):
        page.press("Tab", 9)
        seen.add(page.eval(focused))
    assert {"A  /status", "A  /sessions"} <= seen, seen
    page.eval("document.querySelector('footer a').focus()")
    before = len(page.asked_for)
    eventually("it has asked again", lambda: len(page.asked_for) > before + 1)
    assert page.eval(focused) == "A  /status", "the focus stays where it is"


def check_that_what_is_selected_stays(stage, page):
    page.eval("getSelection().selectAllChildren(document.querySelector('code'))")
    selected = page.eval("getSelection().toString()")
    asked = len(page.asked_for)
    stage.client("shop").ask("DEBUG", "SLEEP", "0")
    time.sleep(2 * SOON)
    assert page.eval("getSelection().toString()") == selected != "" and len(page.asked_for) == asked
    page.eval("getSelection().removeAllRanges()")
    eventually("it goes on", lambda: "debug" in page.eval("document.querySelector('main').innerText"))


def check_that_tables_say_what_they_are(stage, page):
    page.go(stage.origin)
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    for width in (320, 1280):
        page.look(width, 800)
        tree = page.call("Accessibility.getFullAXTree")["nodes"]
        named = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]]
        tables = [name for role, name in named if role == "table"]
        assert [name.split(" ")[0] for name in tables] == ["Refused", "Users", "Certificates"], tables
        headers = [name for role, name in named if role == "columnheader"]
        assert {"Last", "From", "Sessions", "Left"} <= set(headers), headers
        assert "To what was refused" in [name for role, name in named if role == "link"]
        images = [name for role, name in named if role in ("image", "img")]
        assert any(name.startswith("Requests in the last 15 minutes: ") for name in images), images


def check_that_no_screen_is_too_narrow(stage, page):
    for width in (320, 375, 768, 1024, 1920):
        page.look(width, 800)
        wide = page.eval("document.documentElement.scrollWidth")
        assert wide <= width, f"{wide} on {width}"


def check_that_it_needs_no_script(stage, page):
    page.look(1280, 800)
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.call("Page.navigate", url=stage.origin)
    eventually("it is there", lambda: "Refused" in page.html())
    assert stage.client("shop").ask("REPLICAOF", "NO", "ONE").startswith("-NOPERM")
    refused = time.monotonic()
    eventually("it is to be seen", lambda: "<b>replicaof</b>" in page.html())
    took = time.monotonic() - refused
    # The browser loads all of it anew, which takes longer where the machine has much to do.
    assert took < 2 * SOON, took
    print(f"  after {took:.1f} s", end="")
    page.call("Emulation.setScriptExecutionDisabled", value=False)
    page.go(stage.origin)


def check_that_nothing_was_complained_of(stage, page):
    assert not page.complaints, page.complaints


def check_that_it_says_when_redis_is_away(stage, page):
    stage.stop("redis")
    heading = "document.querySelector('h1').innerText"
    eventually("it is said", lambda: page.eval(heading) == "upstream-down")
    assert "Redis is not there" in page.eval("document.querySelector('header').innerText")
    assert page.eval("document.title").startswith("✕ upstream-down")
    stage.start_redis()
    eventually("it is back", lambda: page.eval(heading) == "serving")


def check_that_it_says_when_nobody_answers(stage, page):
    stage.stop("respgate")
    eventually("it is said", lambda: page.eval("!document.getElementById('stale').hidden"))
    assert "No answer since 20" in page.eval("document.getElementById('stale').innerText")
    stage.start_respgate()
    eventually("it is over", lambda: page.eval("document.getElementById('stale').hidden"))


def take_pictures(stage, page, folder):
    folder.mkdir(parents=True, exist_ok=True)
    page.go(stage.origin)

    def take(name, *screen):
        page.look(*screen)
        time.sleep(0.5)
        picture = Image.open(io.BytesIO(page.picture())).convert("RGB")
        file = folder / f"page-{name}.png"
        # Few colours: it is text.
        picture.quantize(128, dither=Image.Dither.NONE).save(file, optimize=True)
        assert file.stat().st_size < LARGEST_PICTURE, f"{file}: {file.stat().st_size} bytes"

    take("light", 1180, 1040)
    take("narrow", 360, 1300, "light")
    stage.stop("redis")
    eventually("Redis is missed", lambda: page.eval("document.querySelector('h1').innerText") == "upstream-down")
    take("dark", 1180, 1040, "dark")
    stage.start_redis()
    eventually("Redis is back", lambda: page.eval("document.querySelector('h1').innerText") == "serving")
    page.look(1280, 800)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--respgate", required=True)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--pictures", action="store_true", help="of a quarter of an hour, to docs/")
    arguments = parser.parse_args()
    lasts, folder = (15 * 60 + 20, "docs") if arguments.pictures else (25, "target/page")
    stage = Stage(arguments.respgate, arguments.stage)
    page = None
    try:
        page = Chromium(pathlib.Path(arguments.stage) / "profile")
        traffic = Traffic(stage)
        page.go(stage.origin)
        time.sleep(lasts)
        if not arguments.pictures:
            traffic.end()
        take_pictures(stage, page, pathlib.Path(folder))
        if arguments.pictures:
            traffic.ended.set()
        page.complaints.clear()
        for name, check in list(globals().items()):
            if name.startswith("check_"):
                print(name.removeprefix("check_").replace("_", " "), end="", flush=True)
                check(stage, page)
                print()
    except BaseException:
        for log in ("redis.log", "respgate.log"):
            print((stage.folder / log).read_text()[-4000:])
        raise
    finally:
        if page:
            page.end()
        stage.end()


if __name__ == "__main__":
    main()

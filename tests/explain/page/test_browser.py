"""The page in a browser: words are chosen, maps are drawn, and nothing is fetched."""

import re

import numpy as np
import pytest
from chromium import chromium
from explanations import explanation, hot, token

pytestmark = pytest.mark.browser

HOSTILE = "</script><img src=https://example.com/x onerror=document.title='taken'>"
DRAWN = """canvas => {
    const copy = document.createElement("canvas");
    [copy.width, copy.height] = [canvas.width, canvas.height];
    const context = copy.getContext("2d", { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    return Array.from(context.getImageData(0, 0, copy.width, copy.height).data);
}"""
SIZES = """all => all.map(one => one.getBoundingClientRect()).map(one => [one.width, one.height])"""
PHONE = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture
def opened(browser, tmp_path):
    """Open an explanation's page; what it asks of any network, or complains of, fails the test."""
    contexts, bad = [], []

    def opens(made, **settings):
        file = tmp_path / "page.html"
        file.write_text(made.to_html(), encoding="utf-8")
        context = browser.new_context(offline=True, **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on("pageerror", lambda error: bad.append(str(error)))
        page.on("console", lambda message: bad.append(message.text))
        page.on("request", lambda request: bad.append(request.url))
        page.goto(file.as_uri())
        bad.remove(file.as_uri())
        return page

    yield opens
    for context in contexts:
        context.close()
    assert [one for one in bad if not one.startswith("data:")] == []


@pytest.fixture
def made():
    dog = token(" dog", hot(1, 1), off=[0.5 * hot(1, 1) + 0.5 * hot(5, 5)])
    return explanation(token("A", content=False), dog, token(" cow", hot(5, 2)))


def drawn(page):
    """The first picture's map as it lies over it: (rows, columns, 4)."""
    canvas = page.locator("canvas.heat").first
    return np.array(canvas.evaluate(DRAWN)).reshape(8, 8, 4)


def hottest(page):
    alpha = drawn(page)[..., 3]
    return tuple(map(int, np.unravel_index(alpha.argmax(), alpha.shape)))


def details(page):
    return page.locator("#details").inner_text()


def test_a_mouse_shows_a_words_map_and_a_click_keeps_it(opened, made):
    page = opened(made)
    dog, cow = page.locator("button.word").all()
    assert "whole answer" in details(page)
    assert not page.locator("img.heat").is_visible()  # or there were two maps
    dog.hover()
    assert hottest(page) == (1, 1)
    assert details(page).startswith("\u201cdog\u201d")
    cow.click()
    page.mouse.move(0, 0)
    assert hottest(page) == (5, 2)
    assert cow.get_attribute("aria-pressed") == "true"
    cow.click()
    page.mouse.move(0, 0)
    assert "whole answer" in details(page)


def test_a_keyboard_does_all_of_it(opened, made):
    page = opened(made)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert hottest(page) == (5, 2)
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("ArrowRight")  # around
    assert hottest(page) == (1, 1)
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    page.evaluate("document.activeElement.blur()")
    assert details(page).startswith("\u201cdog\u201d")  # kept
    page.keyboard.press("Escape")
    assert "whole answer" in details(page)


def test_a_finger_chooses_on_a_phone_and_nothing_is_too_wide(opened, made):
    page = opened(made, **PHONE)
    page.locator("button.word").last.tap()
    assert hottest(page) == (5, 2)
    page.locator("summary").tap()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert min(map(min, page.locator("button.word").evaluate_all(SIZES))) >= 44


def test_with_without_and_what_changed(opened, made):
    page = opened(made)
    page.locator("button.word").first.focus()
    page.keyboard.press("Enter")
    page.check("input[value=off]")
    off = drawn(page)
    assert off[5, 5, 3] == pytest.approx(off[1, 1, 3], abs=4)
    page.check("input[value=difference]")
    changed = drawn(page)
    more, less = changed[1, 1, :3], changed[5, 5, :3]
    assert more[0] > more[2]  # orange
    assert less[2] > less[0]  # blue
    assert page.locator("#low").inner_text() == "-0.50"
    assert "MemVR changed" in page.locator(".says").inner_text()


def test_what_speaks_against_is_shown_on_request(opened):
    page = opened(explanation(token("dog", hot(1, 1) - 0.8 * hot(5, 5))))
    cold = drawn(page)[5, 5]
    page.check("#against")
    blue = drawn(page)[5, 5]
    assert blue[2] > blue[0]
    assert blue[3] > cold[3]


def test_the_strength_fades_the_map(opened, made):
    page = opened(made)
    page.locator("#strength").fill("20")
    faded = page.locator("canvas.heat").evaluate("one => getComputedStyle(one).opacity")
    assert faded == "0.2"


def test_maps_have_one_scale_over_all_pictures(opened):
    page = opened(explanation(token("dog", hot(1, 1), 0.1 * hot(3, 3)), names=("a", "b")))
    first, second = (np.array(one.evaluate(DRAWN)) for one in page.locator("canvas.heat").all())
    assert second[3::4].max() < 0.4 * first[3::4].max()


def test_a_frame_is_around_what_the_chosen_word_came_from(opened, made):
    page = opened(made)
    frame, picture = page.locator(".box"), page.locator(".frame").bounding_box()
    page.locator("button.word").last.hover()  # hot in row 5, column 2 of 8
    place = frame.bounding_box()
    assert place["x"] - picture["x"] == pytest.approx(2 / 8 * picture["width"], abs=2)
    assert place["y"] - picture["y"] == pytest.approx(5 / 8 * picture["height"], abs=2)
    assert place["width"] == pytest.approx(2 / 8 * picture["width"], abs=3)
    page.check("input[value=off]")  # boxes are of the answer as it was given
    assert not frame.is_visible()


def test_without_scripts_there_are_answer_map_and_tokens(opened, made):
    page = opened(made, java_script_enabled=False)
    assert page.locator("img.heat").is_visible()
    assert not page.locator("#strength").is_visible()
    page.locator("summary").click()
    assert page.locator("tbody tr").count() == 3
    assert "map of the whole answer" in page.locator("noscript").inner_text()


def test_what_strangers_wrote_does_nothing(opened):
    word = token(HOSTILE, hot(1, 1))
    page = opened(explanation(word, question=HOSTILE, model=HOSTILE, names=(HOSTILE,)))
    page.locator("button.word").click()
    assert HOSTILE in details(page)
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.title() == HOSTILE
    assert page.locator("img:not(.picture):not(.heat)").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(opened, made, scheme):
    page = opened(made, color_scheme=scheme)
    page.locator("button.word").first.hover()
    colours = page.locator("h1, .answer, .note, .key, .word, .says, #details, #unit").evaluate_all(
        """all => all.map(one => {
            let under = one;
            while (under.parentElement && getComputedStyle(under).backgroundColor.endsWith(", 0)"))
                under = under.parentElement;
            return [getComputedStyle(one).color, getComputedStyle(under).backgroundColor];
        })"""
    )
    assert len(colours) > 8
    assert min(contrast(*map(rgb, pair)) for pair in colours) >= 4.5


def rgb(written):
    return [int(one) for one in re.findall(r"\d+", written)[:3]]


def contrast(one, two):
    """By the Web Content Accessibility Guidelines, 1 to 21."""

    def light(colour):
        share = np.array(colour) / 255
        line = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        return float(line @ (0.2126, 0.7152, 0.0722)) + 0.05

    high, low = sorted((light(one), light(two)), reverse=True)
    return high / low


def test_in_a_notebooks_frame_it_works_too(browser, made):
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.set_content(f"<style>h1 {{ color: red }}</style><body>{made._repr_html_()}</body>")
    frame = page.frame_locator("iframe")
    frame.locator("button.word").last.click()
    assert "cow" in frame.locator("#details").inner_text()
    assert frame.locator("h1").evaluate("one => getComputedStyle(one).color") != "rgb(255, 0, 0)"
    context.close()

# SPDX-License-Identifier: MIT
"""A headless Chromium for pages that `weir lab --html` writes."""

import shutil

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service


def chromium(width=1240, height=1600):
    """A browser that says all that its console says; the caller quits it."""
    options = Options()
    options.binary_location = shutil.which("chromium")
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 f"--window-size={width},{height}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)


def open_page(browser, path, patience=200):
    """Opens a file and waits until all of it is drawn; how many milliseconds that took."""
    browser.set_page_load_timeout(patience)
    browser.get(path.as_uri())
    browser.set_script_timeout(patience)
    return int(browser.execute_async_script("""
        const done = arguments[0];
        const look = () => document.body.dataset.ready ? done(document.body.dataset.ready)
                                                       : requestAnimationFrame(look);
        look();"""))

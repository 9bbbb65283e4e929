# SPDX-License-Identifier: MIT
"""`weir lab --html`: the page in a headless Chromium. One browser for all tests: it takes a second to start."""

import os
import signal
import subprocess

import pytest

pytest.importorskip("selenium", reason="python3-selenium is not installed")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

import apps
from browser import chromium, open_page

WEIR = os.environ["WEIR"]


@pytest.fixture(scope="module")
def browser():
    made = chromium()
    yield made
    made.quit()


def page(tmp_path, *words):
    path = tmp_path / "page.html"
    done = subprocess.run([WEIR, "lab", "--html", path, *words], capture_output=True, text=True, timeout=apps.HANG)
    assert done.returncode == 0, done.stderr
    return path


def no_complaint(browser):
    """Nothing in the console, but the remark on how often this test reads pixels."""
    assert [line for line in browser.get_log("browser") if "getImageData" not in line["message"]] == []


def coloured_pixels(browser):
    """Of each chart, the pixels of its curves that are neither transparent nor grey."""
    return browser.execute_script("""
        return [...document.querySelectorAll('.chart')].map(chart => {
            let n = 0;
            for (const canvas of chart.querySelectorAll('canvas')) {
                if (!canvas.width) continue;
                const p = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
                for (let i = 0; i < p.length; i += 4)
                    n += p[i + 3] > 60 && Math.max(p[i], p[i + 1], p[i + 2]) - Math.min(p[i], p[i + 1], p[i + 2]) > 40;
            }
            return n;
        });""")


def titles(browser):
    return [title.text for title in browser.find_elements(By.CSS_SELECTOR, "#charts h2")]


def legends(browser):
    return " ".join(one.text for one in browser.find_elements(By.CSS_SELECTOR, ".legend"))


def test_two_runs_lie_over_each_other(browser, tmp_path):
    open_page(browser, page(tmp_path, "bufferbloat-codel"))
    no_complaint(browser)
    assert titles(browser) == [
        "Time and sequence number", "Congestion window, slow start threshold, packets in flight",
        "Smoothed round trip time and retransmission timeout", "Queue",
        "Throughput (what arrived, of each connection)"]
    drawn = coloured_pixels(browser)
    assert len(drawn) == 5 and min(drawn) > 1000
    assert "bloat: cwnd" in legends(browser) and "codel: cwnd" in legends(browser)

    # Without the first run its curves are gone, and come back with it.
    boxes = browser.find_elements(By.CSS_SELECTOR, "#runs input")
    assert len(boxes) == 2
    boxes[0].click()
    assert "bloat" not in legends(browser) and "codel: cwnd" in legends(browser)
    assert min(coloured_pixels(browser)) > 500
    boxes[0].click()
    assert "bloat: cwnd" in legends(browser)
    no_complaint(browser)


def test_hovering_tells_values_in_all_charts(browser, tmp_path):
    open_page(browser, page(tmp_path, "tail-loss"))
    charts = browser.find_elements(By.CSS_SELECTOR, ".chart")
    assert " s:" not in legends(browser)
    ActionChains(browser).move_to_element_with_offset(charts[1], 40, 20).perform()
    told = [one.text for one in browser.find_elements(By.CSS_SELECTOR, ".legend")]
    assert "cwnd: " in told[1] and "srtt: " in told[2]
    assert told[1].split(" s:")[0] == told[2].split(" s:")[0], "the same moment"
    no_complaint(browser)


def test_zoom_shows_what_was_thinned_out(browser, tmp_path):
    """A window of a thousandth of the run has the packets that are in it, however many there are in all."""
    open_page(browser, page(tmp_path, "rate=50mbit", "rtt=20ms", "time=4s"))
    n, there = browser.execute_script("""
        const P = JSON.parse(document.getElementById('data').textContent).jobs[0].result.tape;
        const t = P.packet_columns.indexOf('t'), len = P.packet_columns.indexOf('len');
        const there = P.packets.filter(p => p[t] >= 2e6 && p[t] <= 2.02e6 && p[len] > 0).length;
        return [P.packets.length, there];""")
    assert n > 20000 and there > 50
    box = browser.find_elements(By.CSS_SELECTOR, ".chart")[0]
    before = coloured_pixels(browser)[0]
    width = box.size["width"]
    ActionChains(browser).move_to_element_with_offset(box, -20, 0).click_and_hold().move_by_offset(
        40, 0).release().perform()
    assert width > 400 and coloured_pixels(browser)[0] != before
    no_complaint(browser)


def test_sequence_diagram_has_every_packet_and_state(browser, tmp_path):
    open_page(browser, page(tmp_path, "handshake-syn-lost"))
    packets = browser.find_elements(By.CSS_SELECTOR, "#diagram .packet")
    assert len(packets) == 9
    states = [one.text for one in browser.find_elements(By.CSS_SELECTOR, "#diagram .state text")]
    assert states == ["SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "ESTABLISHED", "FIN-WAIT-1", "LAST-ACK",
                      "TIME-WAIT", "CLOSED"]
    assert len(browser.find_elements(By.CSS_SELECTOR, "#diagram .cross")) == 1
    assert [one.text for one in browser.find_elements(By.CSS_SELECTOR, "#diagram .packet text")][:3] == [
        "SYN", "SYN (again)", "SYN ack 1"]

    tip = browser.find_element(By.ID, "tip")
    assert not tip.is_displayed()
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", packets[4])
    ActionChains(browser).move_to_element(packets[4]).perform()
    assert tip.is_displayed()
    for said in ("flags [P.]", "sent     2.000000 s", "arrived  2.010000 s", "seq      1", "length   1000"):
        assert said in tip.text
    no_complaint(browser)


def test_pages_of_a_long_sequence(browser, tmp_path):
    open_page(browser, page(tmp_path, "rate=10mbit", "rtt=20ms", "bytes=300kb"))
    assert len(browser.find_elements(By.CSS_SELECTOR, "#diagram .packet")) == 150
    browser.find_element(By.ID, "on").click()
    assert browser.find_element(By.ID, "page").text.startswith("packets 151 to ")
    assert browser.find_elements(By.CSS_SELECTOR, "#diagram .packet")[0].get_attribute("data-number") == "150"
    no_complaint(browser)


def test_flows_have_fairness(browser, tmp_path):
    open_page(browser, page(tmp_path, "rate=20mbit", "rtt=20ms", "flows=3", "time=3s"))
    assert titles(browser)[-1] == "Fairness (Jain's index; 1: all have the same)"
    assert min(coloured_pixels(browser)) > 200
    no_complaint(browser)


def test_a_hundred_thousand_packets_open(browser, tmp_path):
    """That it takes less than 3 s is a matter of bench/report."""
    path = page(tmp_path, "rate=200mbit", "rtt=10ms", "queue=200", "time=4s")
    open_page(browser, path)
    n = browser.execute_script(
        "return JSON.parse(document.getElementById('data').textContent).jobs[0].result.tape.packets.length")
    assert n >= 100000
    assert min(coloured_pixels(browser)) > 500
    no_complaint(browser)


def test_a_page_needs_nothing_else(tmp_path):
    """No address of another place is in it but in comments of the library and names of formats."""
    text = page(tmp_path, "simultaneous-open").read_text()
    assert "src=" not in text.split("<script type")[0]
    assert "@import" not in text and "<link rel=\"stylesheet" not in text


def test_names_cannot_break_out_of_the_page(tmp_path):
    scenario = tmp_path / "odd.lab"
    scenario.write_text("title '</script><b id=evil>'\nlook 'One. Two.'\ntime 1s\nflows rtt=1ms bytes=1kb\n")
    text = page(tmp_path, scenario).read_text()
    assert "<b id=evil>" not in text and "\\u003cb id=evil>" in text


def test_a_capture_becomes_the_same_page(browser, tmp_path):
    """A capture with comments (`weir net --capture`) has states, windows and reasons; a plain one has its packets."""
    net, noted, plain = tmp_path / "net", tmp_path / "noted.pcapng", tmp_path / "plain.pcapng"
    (tmp_path / "file").write_bytes(bytes(100000))
    net.write_text(
        f"host web 10.0.0.1 daemon -- python3 -m http.server --bind 10.0.0.1 --directory {tmp_path} 80\n"
        f"host cli 10.0.0.2 -- curl -s -o {tmp_path}/got http://web/file\n"
        "link web cli delay=5ms rules='out drop data 20'\n")
    done = subprocess.run([WEIR, "net", "--capture", f"web={noted}", "--pcap", plain, net], capture_output=True,
                          text=True, timeout=apps.HANG)
    assert done.returncode == 0, done.stderr
    page_of = {}
    for capture in (noted, plain):
        path = page_of[capture] = tmp_path / f"{capture.stem}.html"
        done = subprocess.run([WEIR, "lab", "--pcap", capture, "--html", path], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    open_page(browser, page_of[noted])
    assert "Congestion window, slow start threshold, packets in flight" in titles(browser)
    assert min(coloured_pixels(browser)) > 200
    states = [one.text for one in browser.find_elements(By.CSS_SELECTOR, "#diagram .state text")]
    assert "ESTABLISHED" in states
    again = browser.find_elements(By.CSS_SELECTOR, "#diagram .packet.again")
    assert len(again) >= 1
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", again[0])
    ActionChains(browser).move_to_element(again[0]).perform()
    assert "why      " in browser.find_element(By.ID, "tip").text
    no_complaint(browser)
    open_page(browser, page_of[plain])
    assert titles(browser)[0] == "Time and sequence number"
    assert len(browser.find_elements(By.CSS_SELECTOR, "#diagram .packet")) > 50
    no_complaint(browser)


def test_a_capture_that_is_none_is_told(tmp_path):
    (tmp_path / "no.pcap").write_bytes(b"This is no capture at all.")
    done = subprocess.run([WEIR, "lab", "--pcap", tmp_path / "no.pcap", "--html", tmp_path / "page.html"],
                          capture_output=True, text=True)
    assert done.returncode == 125 and "unknown file format" in done.stderr


def network_with_file(tmp_path, size):
    """The file of a network: a web server that has a file of so many bytes, and a client."""
    net = tmp_path / "net"
    (tmp_path / "file").write_bytes(bytes(size))
    net.write_text(
        f"host web 10.0.0.1 daemon -- python3 -m http.server --bind 10.0.0.1 --directory {tmp_path} 80\n"
        "host cli 10.0.0.2\nlink web cli delay=5ms\n")
    return net


def test_a_program_is_reported(browser, tmp_path):
    """`weir run --report`: its exit status is the program's, and the page has its connection."""
    net, path = network_with_file(tmp_path, 50000), tmp_path / "page.html"
    done = subprocess.run([WEIR, "run", "--net", net, "--report", path, "--", "curl", "-sf", "-o",
                           tmp_path / "got", "http://web/file"], capture_output=True, text=True, timeout=apps.HANG)
    assert done.returncode == 0, done.stderr
    open_page(browser, path)
    assert "curl" in browser.find_element(By.TAG_NAME, "h1").text
    assert "Time and sequence number" in titles(browser)
    assert len(browser.find_elements(By.CSS_SELECTOR, "#diagram .packet")) > 20
    no_complaint(browser)


def test_a_program_that_is_killed_is_reported_too(browser, tmp_path):
    """The command ends by the same signal, when the page is there."""
    net, path = network_with_file(tmp_path, 5000), tmp_path / "page.html"
    done = subprocess.run([WEIR, "run", "--net", net, "--report", path, "--", "sh", "-c",
                           "curl -sf -o /dev/null http://web/file; kill -TERM $$"], capture_output=True, text=True,
                          timeout=apps.HANG)
    assert done.returncode == -signal.SIGTERM, done.stderr
    open_page(browser, path)
    assert "Time and sequence number" in titles(browser)


def net_of_three(tmp_path):
    """A program at either of two hosts fetches from the third; each from a port of its own."""
    net = tmp_path / "net"
    (tmp_path / "file").write_bytes(bytes(50000))
    net.write_text(
        f"host web 10.0.0.1 daemon -- python3 -m http.server --bind 10.0.0.1 --directory {tmp_path} 80\n"
        f"host one 10.0.0.2 -- curl -sf --local-port 2222 -o {tmp_path}/got1 http://10.0.0.1/file\n"
        f"host two 10.0.0.3 -- curl -sf --local-port 3333 -o {tmp_path}/got2 http://10.0.0.1/file\n"
        "link web one delay=5ms rules='out drop data 20'\nlink web two delay=2ms\n")
    return net


def ends(browser):
    return " ".join(one.text for one in browser.find_elements(By.CSS_SELECTOR, "#connection option")) or \
        browser.find_element(By.TAG_NAME, "body").text


def test_a_network_is_reported(browser, tmp_path):
    """`weir net --report`: of the first host with a program, of the one that is named, or of --capture's."""
    net = net_of_three(tmp_path)
    kept = tmp_path / "kept.pcapng"
    for words, there, not_there in ((["--report", "{}"], ["2222", "3333"], []),
                                    (["--report", "one={}"], ["2222"], ["3333"]),
                                    (["--capture", f"two={kept}", "--report", "{}"], ["3333"], ["2222"])):
        page = tmp_path / "page.html"
        done = subprocess.run([WEIR, "net", *[word.format(page) for word in words], net], capture_output=True,
                              text=True, timeout=apps.HANG)
        assert done.returncode == 0, done.stderr
        open_page(browser, page)
        assert titles(browser)[0] == "Time and sequence number" and coloured_pixels(browser)[0] > 100
        # Only who sends much has windows to show.
        windows = "Congestion window, slow start threshold, packets in flight" in titles(browser)
        assert windows == (len(there) == 2)
        assert len(browser.find_elements(By.CSS_SELECTOR, "#diagram .packet")) > 20
        said = ends(browser)
        assert all(port in said for port in there) and not any(port in said for port in not_there), said
        no_complaint(browser)
        page.unlink()
    assert kept.stat().st_size > 0


def test_a_page_that_cannot_be_is_told(tmp_path):
    net = net_of_three(tmp_path)

    def run(*words):
        return subprocess.run([WEIR, "net", *words, net], capture_output=True, text=True, timeout=apps.HANG)

    other = run("--capture", f"web={tmp_path}/x", "--report", f"one={tmp_path}/y")
    assert other.returncode == 2 and "same host" in other.stderr
    nowhere = run("--report", tmp_path / "no folder" / "page")
    assert nowhere.returncode == 125 and "no folder" in nowhere.stderr

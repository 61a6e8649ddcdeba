#!/usr/bin/env python3
"""Opens a report page in headless Chromium and uses it.

    report_browser_test.py PAGE.html [--allow-no-charts]

Fails on a script error, on a page that never gets ready, on an empty chart, on anything fetched
from elsewhere, and where switching, hiding, sorting, filtering, opening rows, choosing a workload
or a click or key on a mark does not do what it should.
Exit codes: 0 good, 1 bad, 77 skipped: no Chromium.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# Runs inside the page once it says that it is ready, and leaves what it found in an attribute.
EXERCISE = """
<script>
(() => {
  const root = document.documentElement;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const ready = () => new Promise((resolve) => {
    const poll = () => root.dataset.ready === "true" ? resolve() : setTimeout(poll, 20);
    setTimeout(poll, 20);
  });
  const rows = (id) => all("#" + id + " tbody tr:not(.detail-row)").length;
  (async () => {
    await ready();
    root.dataset.first = [root.dataset.charts, root.dataset.marks, root.dataset.empty].join(" ");
    const found = { winners: rows("winner-table"), points: rows("point-table") };
    for (const input of all("#mode-switch input:not(:disabled)").reverse()) {
      input.click();
      await ready();
    }
    const legend = all("#legend button");
    if (legend.length) {
      const marks = Number(root.dataset.marks);
      legend[0].click();
      await ready();
      found.hiding = Number(root.dataset.marks) < marks;
      legend[0].click();
      await ready();
      found.showing = Number(root.dataset.marks) === marks;
    }
    for (const button of all("th button")) { button.click(); button.click(); }
    const dialog = document.getElementById("point-dialog");
    const opened = () => dialog.open && dialog.querySelectorAll("dl.facts dd").length > 0 &&
      dialog.querySelector(".command") !== null;
    const dot = document.querySelector("#panels [class*=datum-dot] > path, #panels [class*=datum-bar] > path");
    if (dot) {
      dot.dispatchEvent(new MouseEvent("click", { bubbles: true }));
      found["click on a mark"] = opened();
      found["samples of a mark"] = dialog.querySelectorAll(".samples circle").length > 0;
      dialog.close();
      const walkable = dot.parentNode.querySelector("[tabindex='0']") || document.querySelector("#panels [tabindex='0']");
      walkable.focus();
      walkable.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
      found["arrow key"] = document.activeElement.getAttribute("role") === "button";
      document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
      found["enter key"] = opened();
      dialog.close();
    }
    const cell = all("#winner-map [class*=datum-cell] > path").pop();
    if (cell) {
      found["cells of the map"] = all("#winner-map [class*=datum-cell] > path").length === parseInt(document.querySelector("#winner-table .count").textContent);
      cell.dispatchEvent(new MouseEvent("click", { bubbles: true }));
      const [workload, density] = all("#finder select");
      found["finder's workload"] = cell.getAttribute("aria-label").includes(workload.selectedOptions[0].textContent);
      found["finder's density"] = cell.getAttribute("aria-label").includes(density.selectedOptions[0].textContent);
      found["finder's verdict"] = document.querySelector("#finder .verdict").textContent.startsWith("Use ");
      const chart = [...all("#finder button")].find((button) => button.textContent === "Chart of all formats");
      chart.click();
      found["finder's chart"] = document.querySelector("#panels > article:nth-child(" + (1 + Number(workload.value)) + ") h3").textContent === workload.selectedOptions[0].textContent;
      found["finder's reasons"] = all("#finder .why-list li").length > 0;
    }
    const words = document.querySelector("#finder input");
    if (words) {
      const workload = document.querySelector("#finder select");
      const wanted = workload.options[workload.options.length - 1].textContent;
      words.value = wanted;
      words.dispatchEvent(new Event("input"));
      found["finder's words"] = workload.selectedOptions[0].textContent === wanted &&
        document.querySelector("#finder .verdict") !== null;
      const share = [...all("#finder select")[1].options].pop();
      words.value = share.value + " " + wanted;
      words.dispatchEvent(new Event("input"));
      found["finder's density in words"] = all("#finder select")[1].value === share.value && !document.querySelector("#finder .count").textContent.startsWith("None");
      words.value = "no workload has these words";
      words.dispatchEvent(new Event("input"));
      found["finder finds nothing"] = document.querySelector("#finder .count").textContent.startsWith("None");
      words.value = "";
      words.dispatchEvent(new Event("input"));
    }
    const twin = document.querySelector("#finder .twins button");
    if (twin) {
      const weights = twin.textContent.split(":")[0];
      twin.click();
      found["other weights"] = document.querySelector("#finder .twins").textContent.startsWith(`This is with W in ${weights}.`);
    }
    found.floors = all("#floor-charts [class*=datum-floor] > path").length > 0 || all("#floor-charts .note").length === 1;
    const numbers = () => all("#point-table tbody td:nth-child(4)").map((td) => parseFloat(td.textContent));
    all("#point-table th button")[2].click();
    const ascending = numbers();
    found.sorted = ascending.every((value, i) => i === 0 || !(value < ascending[i - 1]));
    const [status, format] = all("#point-table .controls select");
    const before = rows("point-table");
    format.selectedIndex = 1;
    format.dispatchEvent(new Event("change"));
    const word = format.value;
    found["format filter"] = rows("point-table") <= before && rows("point-table") > 0 &&
      all("#point-table tbody td:nth-child(5)").every((td) => td.textContent.includes(word));
    format.selectedIndex = 0;
    format.dispatchEvent(new Event("change"));
    status.value = "ok";
    status.dispatchEvent(new Event("change"));
    found["status filter"] = all("#point-table tbody td:nth-child(2)").every((td) => td.textContent === "ok");
    status.selectedIndex = 0;
    status.dispatchEvent(new Event("change"));
    found["left out"] = document.getElementById("left-out-table").textContent.length > 0;
    for (const id of ["winner-table", "point-table"]) {
      const button = document.querySelector("#" + id + " .open-row");
      if (button) {
        button.click();
        found[id + " detail"] = all("#" + id + " .detail-row dl").length === 1;
        button.click();
        found[id + " closed"] = all("#" + id + " .detail-row").length === 0;
      }
      const filter = document.querySelector("#" + id + " input");
      filter.value = "no row has these words";
      filter.dispatchEvent(new Event("input"));
      found[id + " filtered"] = rows(id) === 0;
      filter.value = "";
      filter.dispatchEvent(new Event("input"));
    }
    root.dataset.fetched = String(performance.getEntriesByType("resource").length);
    root.dataset.broken = Object.keys(found).filter((key) => found[key] === false).join("; ");
    root.dataset.rows = found.winners + " " + found.points;
    root.dataset.exercised = "true";
  })().catch((error) => { root.dataset.broken = String(error); });
})();
</script>
"""


def find_browser() -> str | None:
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


def open_page(browser: str, page: pathlib.Path, width: int, profile: str) -> tuple[str, str]:
    result = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            f"--user-data-dir={profile}",
            f"--window-size={width},900",
            "--virtual-time-budget=60000",
            "--enable-logging=stderr",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=240,
        check=False,
    )
    return result.stdout, result.stderr


def attributes_of_root(dom: str) -> dict[str, str]:
    tag = re.search(r"<html[^>]*>", dom)
    return dict(re.findall(r'data-([a-z]+)="([^"]*)"', tag.group(0))) if tag else {}


def problems_of(dom: str, log: str, allow_no_charts: bool) -> list[str]:
    found = attributes_of_root(dom)
    if not found:
        return ["the browser printed no page:\n" + log[-2000:]]
    problems = [line for line in log.splitlines() if "CONSOLE" in line]
    if found.get("errors") != "0":
        problems.append(f"{found.get('errors')} script errors")
    if found.get("exercised") != "true":
        problems.append(f"the page was not ready to be used: {found}")
        return problems
    charts, marks, empty = map(int, found["first"].split())
    if not allow_no_charts and (charts == 0 or marks == 0):
        problems.append(f"{charts} charts with {marks} marks")
    if empty:
        problems.append(f"{empty} empty charts")
    if found.get("broken"):
        problems.append("does not work: " + found["broken"])
    if found.get("fetched") != "0":
        problems.append(f"the page fetched {found.get('fetched')} resources")
    return problems


def main() -> int:
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    allow_no_charts = "--allow-no-charts" in sys.argv
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    browser = find_browser()
    if browser is None:
        print("skipped: none of " + ", ".join(BROWSERS) + " is installed")
        return 77
    given = pathlib.Path(arguments[0]).resolve()
    html = given.read_text(encoding="utf-8")
    bad = False
    # Beside the page: Chromium as a snap may not read /tmp.
    with tempfile.TemporaryDirectory(prefix="report_browser_", dir=given.parent) as directory:
        page = pathlib.Path(directory) / "page.html"
        end = html.rindex("</body>")
        page.write_text(html[:end] + EXERCISE + html[end:], encoding="utf-8")
        for width in (1280, 500):
            dom, log = open_page(browser, page, width, os.path.join(directory, "profile"))
            problems = problems_of(dom, log, allow_no_charts)
            found = attributes_of_root(dom)
            print(f"{width} px: charts, marks, empty {found.get('first')}; rows {found.get('rows')}")
            for problem in problems[:8]:
                print("  " + problem)
            bad = bad or bool(problems)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

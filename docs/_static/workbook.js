// What the pages do by themselves. All of it also works for a site that is opened from a folder, without a server.

// Widgets come to life from their saved state; see lib/programs/site/islands.py.
(() => {
  const root = document.documentElement.dataset.content_root || "./";

  function model(state) {
    const listeners = {};
    return {
      get: (name) => state[name],
      set: (name, value) => {
        state[name] = value;
        (listeners[`change:${name}`] || []).forEach((call) => call());
      },
      save_changes: () => {},
      on: (event, call) => (listeners[event] ??= []).push(call),
      off: (event, call) => (listeners[event] = (listeners[event] || []).filter((other) => other !== call)),
    };
  }

  function load(name) {
    const style = document.createElement("link");
    Object.assign(style, { rel: "stylesheet", href: `${root}_static/widgets/${name}.css` });
    const script = document.createElement("script");
    script.src = `${root}_static/widgets/${name}.js`;
    return new Promise((done, failed) => {
      script.onload = () => done(window.workbookWidgets[name]);
      script.onerror = failed;
      document.head.append(style, script);
    });
  }

  const loaded = {};
  async function start(place) {
    const name = place.dataset.widget;
    const widget = await (loaded[name] ??= load(name));
    const el = document.createElement("div");
    widget.render({ model: model(JSON.parse(place.querySelector("script").textContent)), el });
    // Only now: where the script does not run, the picture stays.
    place.querySelector(".wb-still").remove();
    place.append(el);
    place.dataset.live = "true";
  }

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".wb-widget").forEach(start));
})();

// Output in columns scrolls; output without, a sentence say, wraps, and so does one with lines longer than any table's.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".cell_output pre").forEach((pre) => {
    const lines = pre.textContent.split("\n");
    const inColumns = lines.some((line) => /\S {2,}\S/.test(line)) && Math.max(...lines.map((line) => line.length)) <= 90;
    pre.classList.toggle("wb-prose", !inColumns || pre.closest(".traceback, .stderr") !== null);
  });
});

// In tables of data, numbers and their heading stand at the right.
document.addEventListener("DOMContentLoaded", () => {
  const number = /^([-+]?[\d.,]+(e[-+]?\d+)?|NaN|-?inf|-)$/;
  document.querySelectorAll(".cell_output table.dataframe").forEach((table) => {
    const rows = [...table.rows];
    [...rows[0].cells].forEach((_, column) => {
      const cells = rows.map((row) => row.cells[column]).filter((cell) => cell);
      const values = cells.filter((cell) => cell.localName === "td").map((cell) => cell.textContent.trim());
      const numbers = values.length > 0 && values.every((value) => number.test(value));
      cells.forEach((cell) => cell.classList.toggle("wb-number", numbers));
    });
  });
});

// On a phone a column of prose may be squeezed to a word a line: then it gets a width at which it can be read.
(() => {
  const TALL = 9; // lines

  function widen() {
    const cells = [...document.querySelectorAll("main td")].filter((cell) => cell.textContent.length > 40);
    cells.forEach((cell) => cell.classList.remove("wb-long"));
    const tall = cells.filter((cell) => {
      const range = document.createRange();
      range.selectNodeContents(cell);
      return range.getBoundingClientRect().height > TALL * parseFloat(getComputedStyle(cell).lineHeight);
    });
    tall.forEach((cell) => cell.classList.add("wb-long"));
  }

  window.addEventListener("load", widen);
  window.addEventListener("resize", widen);
})();

// Whatever scrolls sideways can be reached and scrolled by keyboard.
(() => {
  const wide = ".math, .cell_output, .cell_output .output, .pst-scrollable-table-container";

  function reach() {
    document.querySelectorAll(wide).forEach((part) => {
      const scrolls = part.scrollWidth > part.clientWidth && getComputedStyle(part).overflowX !== "visible";
      if (!scrolls) ["tabindex", "role", "aria-label"].forEach((name) => part.removeAttribute(name));
      else Object.entries({ tabindex: 0, role: "region", "aria-label": "scrolls sideways" })
        .forEach(([name, value]) => part.setAttribute(name, value));
    });
  }

  window.addEventListener("load", reach);
  window.addEventListener("resize", reach);
})();

// A page opened from a folder may not read another: its search lists the pages without quoting them.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// One table of bars for each position of the sliders, all made beforehand in Python: so it moves without a kernel too.
// The same text runs as an anywidget (JupyterLab, Voilà) and on the site, which gives `model` the same few methods.

function element(name, parent, properties = {}) {
  const made = document.createElement(name);
  Object.assign(made, properties);
  parent.append(made);
  return made;
}

function slider(model, parent, control, i, draw) {
  const label = element("label", parent, { className: "wb-control" });
  element("span", label, { textContent: control.label });
  const input = element("input", label, { type: "range", min: 0, max: control.choices.length - 1, step: 1 });
  const output = element("span", label, { className: "wb-choice", ariaHidden: "true" });
  const show = () => {
    const at = model.get("at")[i];
    input.value = at;
    output.textContent = control.choices[at];
    input.setAttribute("aria-valuetext", control.choices[at]);
  };
  input.addEventListener("input", () => {
    const at = [...model.get("at")];
    at[i] = Number(input.value);
    model.set("at", at);
    model.save_changes();
    show();
    draw();
  });
  show();
  return show;
}

function place(model) {
  const controls = model.get("controls");
  return model.get("at").reduce((sum, at, i) => sum * controls[i].choices.length + at, 0);
}

function render({ model, el }) {
  const root = element("div", el, { className: "wb-explorer" });
  const controls = element("div", root, { className: "wb-controls" });
  const table = element("table", root);
  element("caption", table, { className: "wb-hidden", textContent: model.get("title") });
  const body = element("tbody", table);
  const caption = element("p", root, { className: "wb-caption" });
  caption.setAttribute("aria-live", "polite");

  const frames = JSON.parse(model.get("frames"));
  const draw = () => {
    const { rows, values, caption: text } = frames[place(model)];
    const names = model.get("names");
    const longest = Math.max(...values);
    body.replaceChildren();
    rows.forEach((row, i) => {
      const line = element("tr", body);
      element("th", line, { scope: "row", textContent: names[row] });
      const bar = element("div", element("td", line, { className: "wb-bar" }));
      bar.style.width = `${(100 * values[i]) / longest}%`;
      element("td", line, { className: "wb-value", textContent: `${values[i].toFixed(1)} ${model.get("unit")}` });
    });
    caption.textContent = text;
  };

  const shows = model.get("controls").map((control, i) => slider(model, controls, control, i, draw));
  const moved = () => {
    shows.forEach((show) => show());
    draw();
  };
  model.on("change:at", moved);
  draw();
  return () => model.off("change:at", moved);
}

export default { render };

// A text and its tokens. The examples are cut beforehand in Python; what is typed is cut by the Python behind the page.
// The same text runs as an anywidget (JupyterLab, Voilà) and on the site, which gives `model` the same few methods.

const ALONE = "This page is only read, so it shows stored texts. Open it in JupyterLab to type your own.";

function element(name, parent, properties = {}) {
  const made = document.createElement(name);
  Object.assign(made, properties);
  parent.append(made);
  return made;
}

function labelled(parent, text, name, properties) {
  const label = element("label", parent, { className: "wb-control" });
  element("span", label, { textContent: text });
  return element(name, label, properties);
}

function show(list, caption, unit, { text, tokens }) {
  list.replaceChildren();
  tokens.forEach(([id, shown]) => {
    const item = element("li", list);
    element("span", item, { className: "wb-token", textContent: shown });
    element("span", item, { className: "wb-id", textContent: id });
  });
  const characters = [...text].length;
  const counted = tokens.length === 1 ? unit.replace(/s$/, "") : unit;
  caption.textContent = `${tokens.length} ${counted} for ${characters} characters.`;
}

function render({ model, el }) {
  const root = element("div", el, { className: "wb-explorer wb-tokens" });
  const examples = JSON.parse(model.get("examples"));
  const unit = model.get("unit");
  const choice = labelled(root, "stored text", "select", {});
  examples.forEach(({ name }, i) => element("option", choice, { value: i, textContent: name }));
  const box = labelled(root, "your text", "textarea", { rows: 3, maxLength: model.get("longest"), disabled: true });
  const note = element("p", root, { className: "wb-note", textContent: ALONE });
  const list = element("ol", root, { className: "wb-list" });
  list.setAttribute("aria-label", unit === "tokens" ? "tokens and their ids" : unit);
  const caption = element("p", root, { className: "wb-caption" });
  caption.setAttribute("aria-live", "polite");

  const chosen = () => {
    const example = examples[model.get("at")];
    choice.value = model.get("at");
    box.value = example.text;
    show(list, caption, unit, example);
  };
  const cut = () => {
    const answer = JSON.parse(model.get("answer"));
    if (answer.text === box.value) show(list, caption, unit, answer);
  };
  const alive = () => {
    box.disabled = false;
    note.hidden = true;
  };
  choice.addEventListener("input", () => {
    model.set("at", Number(choice.value));
    model.save_changes();
    chosen();
  });
  box.addEventListener("input", () => {
    model.set("typed", box.value);
    model.save_changes();
  });
  model.on("change:answer", cut);
  model.on("change:answered", alive);
  chosen();
  model.set("asked", model.get("asked") + 1);
  model.save_changes();
  return () => {
    model.off("change:answer", cut);
    model.off("change:answered", alive);
  };
}

export default { render };

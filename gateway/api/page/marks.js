// Priority marks: colour, shape and letter together, so that none of them is needed alone.

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = {
  1: ["M2 2H22V22H2Z", 17, "1"],
  2: ["M12 1L23 22H1Z", 20, "2"],
  3: ["M1 2H23L12 23Z", 13, "3"],
  F: ["M12 0L24 12L12 24L0 12Z", 17, "F"],
  O: ["M12 2A10 10 0 1 1 11.9 2Z", 17, ""],
};

// `priority` as in the API ("1", "2", "3", "F", "" for none), or "O" for shelved.
export function mark(priority, label) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "mark");
  paint(svg, priority, label);
  return svg;
}

export function paint(svg, priority, label) {
  if (svg.dataset.priority === priority && svg.dataset.label === label) return;
  svg.dataset.priority = priority;
  svg.dataset.label = label;
  svg.replaceChildren();
  const shape = SHAPES[priority];
  if (!shape) {
    svg.setAttribute("aria-hidden", "true");
    return;
  }
  svg.removeAttribute("aria-hidden");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", shape[0]);
  const letter = document.createElementNS(SVG, "text");
  letter.setAttribute("x", "12");
  letter.setAttribute("y", String(shape[1]));
  letter.setAttribute("text-anchor", "middle");
  letter.textContent = shape[2];
  svg.append(path, letter);
}

export function ofLevel(level) {
  return { DANGER: "1", ALARM: "2", ALERT: "3", FAULT: "F" }[level] ?? "";
}

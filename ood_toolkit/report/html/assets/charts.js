// What all charts share: one look in the page's own colours, drawn as SVG and described in words.
const shown = new Map();
const latest = new Map(); // the signals of each chart
const GROUPS = [
  ["right", "ID, prediction right"],
  ["wrong", "ID, prediction wrong"],
  ["unknown", "ID"],
  ["ood", "OOD"],
];
const colour = (name) => `var(--${name})`;
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif";
const LOOK = {
  background: null,
  font: FONT,
  autosize: { type: "fit-x", contains: "padding" },
  view: { stroke: null },
  aria: false,
  axis: {
    labelColor: colour("quiet"),
    titleColor: colour("quiet"),
    gridColor: colour("line"),
    domainColor: colour("line"),
    tickColor: colour("line"),
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: 400,
    titlePadding: 8,
    labelPadding: 5,
    grid: false,
  },
};

/** Draw a chart in place of the one that stands there; `words` is what a screen reader says. */
async function draw(id, words, spec, height = 250) {
  shown.get(id)?.finalize();
  shown.delete(id);
  latest.delete(id);
  const place = make("div");
  byId(id).style.minHeight = `${height + 40}px`; // so that nothing below it jumps
  byId(id).replaceChildren(place);
  if (!spec.layer.length) return;
  const full = { width: "container", height, ...spec, config: LOOK };
  const options = { renderer: "svg", actions: false, ast: true, defaultStyle: false, tooltip: false };
  const made = await window.vegaEmbed(place, full, options);
  if (!place.isConnected) {
    made.finalize(); // another one was asked for meanwhile
    return;
  }
  shown.set(id, made);
  const svg = place.querySelector("svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", words);
  for (const part of svg.children) part.setAttribute("aria-hidden", "true");
  if (latest.has(id)) signal(id, latest.get(id));
}

/** Tell a chart what its signals are now; one that is not drawn yet is told then. */
function signal(id, values) {
  latest.set(id, values);
  const view = shown.get(id)?.view;
  if (!view) return;
  for (const [name, value] of Object.entries(values)) view.signal(name, value);
  view.runAsync();
}

/** ID images of which no class is known have the first colour where there are no others. */
const colourOf = (one, name) => colour(name === "unknown" && !one.sizes.right && !one.sizes.wrong ? "right" : name);

const share = (field, title, extra = {}) => ({
  field,
  type: "quantitative",
  title,
  scale: { domain: [0, 1] },
  axis: { format: ".0%", tickCount: 5, grid: true },
  ...extra,
});

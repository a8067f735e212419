// What all charts share: one look in the page's own colours, drawn as SVG and described in words.
const shown = new Map();
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
  byId(id).style.minHeight = `${height + 40}px`; // so that nothing below it jumps
  const full = { width: "container", height, ...spec, config: LOOK };
  const options = { renderer: "svg", actions: false, ast: true, defaultStyle: false, tooltip: false };
  const made = await window.vegaEmbed(byId(id), full, options);
  shown.set(id, made);
  const svg = byId(id).querySelector("svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", words);
  for (const part of svg.children) part.setAttribute("aria-hidden", "true");
  return made.view;
}

/** Tell the chart that stands there what its signals are now. */
function signal(id, values) {
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

/** Bars of each group in a row of its own, each row as high as its tallest bar. */
function histogramSpec(one, cut) {
  const { low, high, bins, counts } = one.histogram;
  const edge = (i) => low + ((high - low) * i) / bins;
  const groups = GROUPS.filter(([name]) => counts[name]);
  const bars = [];
  const labels = [];
  groups.forEach(([name, words], place) => {
    const base = (groups.length - 1 - place) * 1.36;
    const most = Math.max(...counts[name]);
    labels.push({ group: name, y: base + 1.2, words: `${words} (${count(one.sizes[name])})` });
    counts[name].forEach((n, i) => {
      if (n) bars.push({ group: name, x: edge(i), x2: edge(i + 1), y: base, y2: base + n / most });
    });
  });
  const top = groups.length * 1.36;
  const x = {
    type: "quantitative",
    scale: { domain: [low, high], nice: false, zero: false },
    title: "score, higher = more in-distribution",
    axis: { tickCount: 6 },
  };
  const y = { type: "quantitative", scale: { domain: [0, top], nice: false }, axis: null };
  const colours = {
    field: "group",
    type: "nominal",
    legend: null,
    scale: { domain: groups.map(([name]) => name), range: groups.map(([name]) => colourOf(one, name)) },
  };
  const words = (how) => ({
    data: { values: labels },
    mark: { type: "text", align: "left", baseline: "middle", fontSize: 12.5, ...how },
    encoding: { x: { value: 1 }, y: { field: "y", ...y }, text: { field: "words", type: "nominal" } },
  });
  return {
    params: [{ name: "cut", value: cut }],
    layer: [
      {
        data: { values: bars },
        mark: { type: "bar", binSpacing: 0.5 },
        encoding: {
          x: { field: "x", ...x },
          x2: { field: "x2" },
          y: { field: "y", ...y },
          y2: { field: "y2" },
          color: colours,
        },
      },
      {
        data: { values: [{}] },
        mark: { type: "rect", color: colour("paper"), opacity: 0.68 },
        encoding: { x: { datum: low, ...x }, x2: { datum: { expr: "cut" } } },
      },
      {
        data: { values: labels.map((l) => ({ ...l, base: l.y - 1.2 })) },
        mark: { type: "rule", color: colour("line") },
        encoding: { y: { field: "base", ...y } },
      },
      {
        data: { values: [{}] },
        mark: { type: "rule", color: colour("mark"), strokeWidth: 2 },
        encoding: { x: { datum: { expr: "cut" }, ...x } },
      },
      words({ stroke: colour("paper"), strokeWidth: 4, strokeJoin: "round" }), // keeps the threshold's line off the text
      words({ color: colour("ink") }),
    ],
  };
}

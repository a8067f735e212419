// Histograms of the groups of images, over the score or over the stops of the slider, and a threshold to drag.
const SPREAD = 60;
const TICKS = 6;

function scoreBins(one) {
  const { low, high, bins, counts } = one.histogram;
  const edges = Array.from({ length: bins + 1 }, (_, i) => low + ((high - low) * i) / bins);
  return { low, high, edges, counts, title: "score, higher = more in-distribution" };
}

/** Bins over the stops of the slider: scores that lie crowded together are drawn apart. */
function spreadBins(one) {
  const last = one.positions.t.length - 1;
  const bins = Math.min(SPREAD, last);
  const edges = Array.from({ length: bins + 1 }, (_, i) => Math.round((i * last) / bins));
  const between = (name) => {
    const accepted = one.positions.accepted[name];
    return edges.slice(1).map((edge, i) => accepted[edges[i]] - (edge === last ? 0 : accepted[edge]));
  };
  const counts = Object.fromEntries(Object.keys(one.histogram.counts).map((name) => [name, between(name)]));
  const at = Array.from({ length: TICKS }, (_, i) => Math.round((i * (last - 1)) / (TICKS - 1)));
  const ticks = Object.fromEntries(at.map((place) => [place, score(one.positions.t[place], 3)]));
  return { low: 0, high: last, edges, counts, title: "score, spread evenly over the stops of the slider", ticks };
}

/** Where the line of a stop stands on the axis. */
function whereOf(one, place) {
  const { low, high } = one.histogram;
  return state.spread ? place : Math.min(Math.max(thresholdAt(one, place), low), high);
}

/** Find the stop that is nearest to a place on the axis. */
function stopAt(one, where) {
  if (state.spread) return Math.round(where);
  const t = one.positions.t.map(Number);
  let best = 0;
  t.forEach((threshold, place) => {
    if (Math.abs(threshold - where) < Math.abs(t[best] - where)) best = place;
  });
  return best;
}

/** Bars of each group in a row of its own, each row as high as its tallest bar. */
function histogramSpec(one) {
  const { low, high, edges, counts, title, ticks } = state.spread ? spreadBins(one) : scoreBins(one);
  const groups = GROUPS.filter(([name]) => counts[name]);
  const bars = [];
  const labels = [];
  groups.forEach(([name, words], place) => {
    const base = (groups.length - 1 - place) * 1.36;
    const most = Math.max(...counts[name]);
    labels.push({ group: name, y: base + 1.2, words: `${words} (${count(one.sizes[name])})` });
    counts[name].forEach((n, i) => {
      if (n) bars.push({ group: name, x: edges[i], x2: edges[i + 1], y: base, y2: base + n / most });
    });
  });
  const top = groups.length * 1.36;
  const x = {
    type: "quantitative",
    scale: { domain: [low, high], nice: false, zero: false },
    title,
    axis: ticks ? { values: Object.keys(ticks).map(Number), labelExpr: "ticks[datum.value]" } : { tickCount: 6 },
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
    params: [
      { name: "cut", value: whereOf(one, state.place) },
      { name: "ticks", value: ticks ?? {} },
    ],
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

function showHistogram(one) {
  const groups = GROUPS.filter(([name]) => one.sizes[name]);
  const sizes = groups.map(([name, words]) => `${words} ${count(one.sizes[name])}`).join(", ");
  const words = `Histograms of the scores of ${blockOf(one).label}: ${sizes} on ${one.ood}. The slider below moves the threshold.`;
  draw("histogram", words, histogramSpec(one), groups.length * 86 + 20);
  const beyond = state.spread ? 0 : one.histogram.beyond;
  byId("histogram-said").textContent =
    "Each row is drawn to the height of its own tallest bar; what lies left of the threshold is rejected." +
    (beyond ? ` The end bars hold ${plural(beyond, "score")} that lie beyond.` : "");
}

function dragged(event) {
  const view = shown.get("histogram")?.view;
  const svg = byId("histogram").querySelector("svg");
  if (!view || !svg) return;
  const x = event.clientX - svg.getBoundingClientRect().left - view.origin()[0];
  moveTo(stopAt(current(), view.scale("x").invert(x)));
}

function startHistogram() {
  const chart = byId("histogram");
  chart.addEventListener("pointerdown", (event) => {
    chart.setPointerCapture(event.pointerId);
    dragged(event);
  });
  chart.addEventListener("pointermove", (event) => {
    if (event.buttons) dragged(event);
  });
  byId("spread").addEventListener("change", (event) => {
    state.spread = event.target.checked;
    showHistogram(current());
  });
}

// One part of a leaderboard at a time: filtered, ranked among what is left, and sorted by a click on a head.
const order = { key: "rank", falling: false };
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Average over seeds, then over sets; the interval is Student's t over the sets, over the seeds of the only one. */
function estimate(bySet, quantiles, least, most) {
  const means = bySet.map(mean);
  const sample = means.length > 1 ? means : bySet[0];
  const value = mean(means);
  if (sample.length < 2) return { value };
  const variance = sample.reduce((sum, one) => sum + (one - mean(sample)) ** 2, 0) / (sample.length - 1);
  const half = quantiles[sample.length - 2] * Math.sqrt(variance / sample.length);
  return { value, low: Math.max(value - half, least), high: Math.min(value + half, most) };
}

/** Rank a value among those that it is one of: 1 is the largest, equal ones share their mean rank. */
function rankAmong(value, all) {
  const equal = all.filter((other) => other === value).length;
  return all.filter((other) => other > value).length + (equal + 1) / 2;
}

/** Rank the entries that are shown; one that lacks a result of another has no rank, a published one changes none. */
function standings(part, shown) {
  const used = part.pairs
    .map((_, set) => set)
    .map((set) => [set, part.seeds[set].filter((seed) => shown.some((one) => given(one.values.auroc[set][seed])))])
    .filter(([, seeds]) => seeds.length);
  const numbers = (entry, key) => used.map(([set, seeds]) => seeds.map((seed) => entry.values[key][set][seed]));
  const isWhole = (entry) => numbers(entry, "auroc").flat().every(given);
  const measured = shown.filter((entry) => isWhole(entry) && !entry.published).map((entry) => numbers(entry, "auroc"));
  const rows = shown.map((entry) => {
    const [own, alone] = [numbers(entry, "auroc"), entry.published];
    const row = { entry, whole: isWhole(entry), held: own.flat().filter(given).length, of: own.flat().length };
    row.means = Object.fromEntries(data.columns.map(({ key }) => [key, meanOf(numbers(entry, key), row, part)]));
    row.sets = part.pairs.map((_, set) => entry.values.auroc[set].filter(given)).map((one) => (one.length ? mean(one) : null));
    if (row.whole) {
      const among = (set, seed) => [...measured.map((other) => other[set][seed]), ...(alone ? [own[set][seed]] : [])];
      const ranks = own.map((seeds, set) => seeds.map((value, seed) => rankAmong(value, among(set, seed))));
      row.rank = estimate(ranks, part.quantiles, 1, measured.length + (alone ? 1 : 0));
    }
    return row;
  });
  const placed = rows.filter((row) => row.rank && !row.entry.published);
  for (const row of placed) row.place = placed.filter((other) => other.rank.value < row.rank.value - 1e-9).length + 1;
  return rows;
}

/** Average a metric where it is known wherever the AUROC is; without an interval where a result is lacking. */
function meanOf(numbers, row, part) {
  const there = numbers.map((seeds) => seeds.filter(given)).filter((seeds) => seeds.length);
  if (!row.held || there.flat().length !== row.held) return null;
  return row.whole ? estimate(there, part.quantiles, 0, 1) : { value: mean(there.map(mean)) };
}

function valueOf(row, key) {
  if (key === "supervision" || key === "cost") return row.entry[key] ? data[key].indexOf(row.entry[key]) : null;
  if (key === "rank") return row.rank ? Number(row.rank.value.toFixed(9)) : null;
  if (key.startsWith("set-")) return row.sets[Number(key.slice(4))];
  return key in row.means ? (row.means[key]?.value ?? null) : row.entry[key].toLowerCase();
}

function compared(a, b, key, falling) {
  const [x, y] = [valueOf(a, key), valueOf(b, key)];
  if (x === null || y === null) return (x === null) - (y === null);
  return x === y ? 0 : (x < y ? -1 : 1) * (falling ? -1 : 1);
}

/** Sort rows; those without a value come last, and equal ones by rank, AUROC and name. */
const sorted = (rows) =>
  [...rows].sort(
    (a, b) =>
      compared(a, b, order.key, order.falling) ||
      compared(a, b, "rank", false) ||
      compared(a, b, "auroc", true) ||
      a.entry.published - b.entry.published ||
      compared(a, b, "name", false),
  );

/** Give a cell of a share, shaded by how good it is in its column. */
function share(value, values, lower, ...more) {
  const td = make("td", {}, percent(value), more);
  const better = (one) => (lower ? -one : one);
  const known = values.filter(given).map(better);
  const [low, high] = known.length ? endsOf(known) : [0, 0];
  if (given(value) && high > low) {
    const good = Math.max((better(value) - low) / (high - low), 0);
    td.className = "heat";
    td.style.background = `rgba(var(--heat), ${(0.04 + 0.34 * good).toFixed(3)})`;
  }
  return td;
}

/** Write an interval, and draw it with its mean as a dot on the scale of its column. */
function interval(found, all, write) {
  if (!given(found?.low)) return null;
  const ends = all.filter(Boolean).flatMap((one) => [one.value, one.low ?? one.value, one.high ?? one.value]);
  const [from, to] = [Math.min(...ends), Math.max(...ends)];
  const at = (value) => `${to > from ? (100 * (value - from)) / (to - from) : 50}%`;
  const [line, dot] = [make("i", { class: "line" }), make("i", { class: "dot" })];
  line.style.left = at(found.low);
  line.style.right = `calc(100% - ${at(found.high)})`;
  dot.style.left = at(found.value);
  return [
    make("small", {}, `${write(found.low)}–${write(found.high)}`),
    make("span", { class: "strip", "aria-hidden": "true" }, line, dot),
  ];
}

function head(key, words, kind, falling) {
  const state = order.key === key ? (order.falling ? "descending" : "ascending") : "none";
  const turn = () => {
    order.falling = order.key === key ? !order.falling : falling;
    order.key = key;
    show();
    document.querySelector(`#board button[data-key="${key}"]`).focus();
  };
  const rules = kind ? null : make("small", {}, data.protocol);
  return make(
    "th",
    { class: kind, scope: "col", "aria-sort": state },
    make("button", { class: "sort", type: "button", "data-key": key, onclick: turn }, words),
    rules,
  );
}

function line(row, rows, texts) {
  const { entry } = row;
  const more = texts.slice(1).map(([key]) => entry[key]).filter(Boolean).join(" · ");
  const name = make(
    "span",
    {},
    entry.name,
    row.whole ? null : make("small", {}, `${row.held} of ${row.of} results`),
    more ? make("small", { class: "folded" }, more) : null,
  );
  const ranks = rows.map((one) => one.rank);
  return make(
    "tr",
    { class: entry.published ? "published" : null },
    make("th", { class: "text", scope: "row" }, make("span", { class: "entry" }, make("b", {}, row.place ?? "–"), name)),
    texts.slice(1).map(([key]) => make("td", { class: "text unfolded" }, entry[key] || "–")),
    make("td", {}, row.rank ? row.rank.value.toFixed(2) : "–", interval(row.rank, ranks, (value) => value.toFixed(1))),
    data.columns.map(({ key, lower }) => {
      const all = rows.map((one) => one.means[key]);
      const drawn = interval(row.means[key], all, (value) => (100 * value).toFixed(1));
      return share(row.means[key]?.value, all.map((one) => one?.value), lower, drawn);
    }),
    row.sets.map((value, set) => share(value, rows.map((one) => one.sets[set]), false)),
  );
}

function show() {
  const part = data.parts[Number(byId("part").value)];
  const chosen = ["model", "supervision", "cost"].map((key) => [key, byId(`filter-${key}`).value]);
  const name = byId("filter-name").value.trim().toLowerCase();
  const shown = part.entries.filter(
    (one) =>
      one.name.toLowerCase().includes(name) &&
      chosen.every(([key, value]) => !value || one[key] === value) &&
      (byId("filter-published").checked || !one.published),
  );
  const rows = sorted(standings(part, shown));
  const several = (key) => new Set(part.entries.map((one) => one[key])).size > 1;
  const texts = [["name", "scorer"], ["model", "model"], ["decider", "decides"], ["supervision", "supervision"], ["cost", "cost"]];
  const held = texts.filter(([key]) => key === "name" || several(key));
  const heads = [
    held.map(([key, words], place) => head(key, words, place ? "text unfolded" : "text", false)),
    head("rank", "mean rank", null, false),
    data.columns.map(({ key, label, lower }) => head(key, label, null, !lower)),
    part.pairs.map((words, set) => head(`set-${set}`, `AUROC ${words}`, null, true)),
  ];
  byId("part-h").textContent = part.name;
  fill("board", make("thead", {}, make("tr", {}, heads)), make("tbody", {}, rows.map((row) => line(row, rows, held))));
  byId("found").textContent =
    shown.length === part.entries.length ? plural(shown.length, "row") : `${count(shown.length)} of ${plural(part.entries.length, "row")}`;
}

function choices(id, values, words = (value) => value) {
  fill(id, values.map((value, place) => make("option", { value }, words(value, place))));
}

function start() {
  const entries = data.parts.flatMap((part) => part.entries);
  const known = (key) => [...new Set(entries.map((one) => one[key]))].filter(Boolean);
  const all = (value) => value || "all";
  choices("part", data.parts.map((_, place) => place), (place) => data.parts[place].name);
  choices("filter-model", ["", ...known("model")], all);
  for (const key of ["supervision", "cost"]) {
    const held = known(key);
    choices(`filter-${key}`, ["", ...data[key].filter((value) => held.includes(value))], all);
  }
  byId("filter-published").closest("label").hidden = !entries.some((one) => one.published);
  fill("lines", data.lines.map((words) => make("li", {}, words)));
  fill("notes", data.notes.map((words) => make("li", {}, words)));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("input", show);
  show();
}

start();

// The tables of all scorers: sorted by a click on a head, filtered by name and OOD set, shaded by how good a value is.
const order = { key: null, falling: true };

const blockOf = (one) => data.blocks[one.block];
const valueOf = (row, key) => {
  if (key === "scorer") return data.blocks[row.block].label.toLowerCase();
  if (key === "ood") return row.ood.toLowerCase();
  if (key === "seconds") return Number(row.seconds);
  const found = row.values[key];
  return found ? Number(found[0]) : null;
};

/** Sort rows; those without a value come last, and equal ones stay as they are. */
function sorted(rows) {
  if (!order.key) return rows;
  const sign = order.falling ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [x, y] = [valueOf(a, order.key), valueOf(b, order.key)];
    if (x === null || y === null) return (x === null) - (y === null);
    return x < y ? -sign : x > y ? sign : 0;
  });
}

/** Give the shade of a value among those of its column on the same OOD set: most for the best. */
function shades(rows, column) {
  const bySet = new Map();
  for (const row of rows) {
    const value = valueOf(row, column.key);
    if (value !== null) bySet.set(row.ood, [...(bySet.get(row.ood) ?? []), column.lower ? -value : value]);
  }
  const ends = new Map([...bySet].map(([ood, values]) => [ood, endsOf(values)]));
  return (row) => {
    const value = valueOf(row, column.key);
    const [low, high] = ends.get(row.ood) ?? [0, 0];
    if (value === null || !(high > low)) return null;
    const good = ((column.lower ? -value : value) - low) / (high - low);
    return 0.04 + 0.34 * Math.max(good, 0);
  };
}

function cell(row, column, shade) {
  const found = row.values[column.key];
  const td = make(
    "td",
    { class: shade === null ? null : "heat", "data-key": column.key },
    found ? percent(found[0]) : "–",
  );
  if (shade !== null) td.style.background = `rgba(var(--heat), ${shade.toFixed(3)})`;
  if (found && found.length === 3)
    td.append(make("small", {}, `${(100 * found[1]).toFixed(1)}–${(100 * found[2]).toFixed(1)}`));
  return td;
}

function head(key, words, kind) {
  const state = order.key === key ? (order.falling ? "descending" : "ascending") : "none";
  const turn = () => {
    const column = data.columns.find((one) => one.key === key);
    const first = column ? !column.lower : false;
    order.falling = order.key === key ? !order.falling : first;
    order.key = key;
    showSummary();
    document.querySelector(`#summary button[data-key="${key}"]`).focus();
  };
  return make(
    "th",
    { class: kind, scope: "col", "aria-sort": state },
    make("button", { class: "sort", type: "button", "data-key": key, onclick: turn }, words),
  );
}

function showSummary() {
  const part = byId("filter-scorer").value.trim().toLowerCase();
  const ood = byId("filter-ood").value;
  const all = data.rows.filter((row) => row.kind !== "misclassification");
  const rows = sorted(
    all.filter((row) => data.blocks[row.block].label.toLowerCase().includes(part) && (!ood || row.ood === ood)),
  );
  const tested = all.some((row) => row.against);
  const heat = new Map(data.columns.map((column) => [column.key, column.heat ? shades(rows, column) : () => null]));
  fill(
    "summary",
    make("caption", { class: "hidden" }, "OOD detection in per cent"),
    make(
      "thead",
      {},
      make(
        "tr",
        {},
        head("scorer", "scorer", "text"),
        head("ood", "OOD set", "text"),
        data.columns.map((column) => head(column.key, column.label)),
        tested ? make("th", { scope: "col" }, "AUROC, paired (p)") : null,
        head("seconds", "seconds"),
      ),
    ),
    make(
      "tbody",
      {},
      rows.map((row) =>
        make(
          "tr",
          { class: row.kind === "mean" ? "mean" : null, "data-case": row.case },
          make("th", { class: "text", scope: "row" }, opener(row)),
          make("td", { class: "text" }, row.ood),
          data.columns.map((column) => cell(row, column, heat.get(column.key)(row))),
          tested ? make("td", {}, row.against ? pairedWords(row.against) : "") : null,
          make("td", {}, Number(row.seconds).toFixed(3)),
        ),
      ),
    ),
  );
  byId("summary").classList.toggle("mixed", new Set(rows.map((row) => row.kind)).size > 1);
  byId("found").textContent =
    rows.length === all.length
      ? `${plural(all.length, "row")}`
      : `${count(rows.length)} of ${plural(all.length, "row")}`;
  markShown();
}

/** A scorer's name, which opens its scores: those of the row, or the first ones of a mean. */
function opener(row) {
  const place = row.case ?? data.cases.findIndex((one) => one.block === row.block);
  const label = data.blocks[row.block].label;
  return place < 0 ? label : make("button", { class: "open", type: "button", onclick: () => openCase(place) }, label);
}

function pairedWords(test) {
  const points = 100 * Number(test.difference);
  return [
    `${points >= 0 ? "+" : "−"}${Math.abs(points).toFixed(2)} (${Number(test.p) < 0.001 ? "<0.001" : Number(test.p).toFixed(3)})`,
    make("small", {}, `than ${test.scorer}`),
  ];
}

function showRight() {
  const rows = data.rows.filter((row) => row.kind === "misclassification");
  byId("right-part").hidden = !rows.length || !data.rightColumns.length;
  fill(
    "right",
    make(
      "thead",
      {},
      make(
        "tr",
        {},
        make("th", { class: "text", scope: "col" }, "scorer"),
        data.rightColumns.map((column) => make("th", { scope: "col" }, column.label)),
      ),
    ),
    make(
      "tbody",
      {},
      rows.map((row) =>
        make(
          "tr",
          {},
          make("th", { class: "text", scope: "row" }, data.blocks[row.block].label),
          data.rightColumns.map((column) =>
            cell(row, column, column.key === "auroc" ? shades(rows, column)(row) : null),
          ),
        ),
      ),
    ),
  );
}

/** Show what the run's preset has of published values, beside the measured ones. */
function showPublished() {
  const found = data.published;
  byId("published-part").hidden = !found;
  if (!found) return;
  const kind = (place) => (place < found.texts || place === found.columns.length - 1 ? "text" : null);
  const row = (tag, cells) =>
    make(
      "tr",
      {},
      cells.map((words, place) => make(tag, { class: kind(place), scope: tag === "th" ? "col" : null }, words)),
    );
  fill(
    "published",
    make("thead", {}, row("th", found.columns)),
    make(
      "tbody",
      {},
      found.rows.map((cells) => row("td", cells)),
    ),
  );
  fill(
    "sources",
    found.notes.map((note) => make("li", {}, note)),
  );
}

function markShown() {
  for (const row of document.querySelectorAll("#summary tbody tr")) {
    row.classList.toggle("shown", row.getAttribute("data-case") === String(state.case));
  }
}

function startSummary() {
  const sets = [...new Set(data.rows.filter((row) => row.kind !== "misclassification").map((row) => row.ood))];
  fill(
    "filter-ood",
    make("option", { value: "" }, "all"),
    sets.map((name) => make("option", { value: name }, name)),
  );
  const means = sets.filter((name) => name.startsWith("mean"));
  if (data.blocks.length > MANY && means.length) {
    byId("filter-ood").value = means.includes("mean") ? "mean" : means[0];
    order.key = data.columns[0]?.key ?? null;
    order.falling = !data.columns[0]?.lower;
  }
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filter-scorer").addEventListener("input", showSummary);
  byId("filter-ood").addEventListener("change", showSummary);
  showSummary();
  showRight();
  showPublished();
}

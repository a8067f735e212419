// What is chosen, and what is shown of it.
function openCase(place, scroll = true) {
  state.case = place;
  classView.page = 0;
  const one = current();
  const { own, rules, t } = one.positions;
  const first = rules.find((rule) => rule.ours && rule.at !== null);
  byId("threshold").max = String(t.length - 1);
  state.place = own ?? first?.at ?? 0;
  showChoice(one);
  showHistogram(one);
  drawCurves(one, state.place);
  showRules(one);
  showAgainst(one);
  showClasses(one);
  showErrors(one);
  moveTo(state.place);
  markShown();
  if (scroll)
    byId("details").scrollIntoView({
      behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
    });
}

function showChoice(one) {
  const blocks = [...new Set(data.cases.map((other) => other.block))];
  const option = (value, words, chosen) => make("option", { value, selected: chosen }, words);
  fill(
    "scorer",
    blocks.map((block) => option(block, data.blocks[block].label, block === one.block)),
  );
  const sets = data.cases.map((other, place) => [other, place]).filter(([other]) => other.block === one.block);
  fill(
    "ood",
    sets.map(([other, place]) => option(place, other.ood, place === state.case)),
  );
}

function startChoice() {
  byId("choice").addEventListener("submit", (event) => event.preventDefault());
  byId("scorer").addEventListener("change", (event) => {
    const block = Number(event.target.value);
    const same = data.cases.findIndex((one) => one.block === block && one.ood === current().ood);
    openCase(same >= 0 ? same : data.cases.findIndex((one) => one.block === block), false);
  });
  byId("ood").addEventListener("change", (event) => openCase(Number(event.target.value), false));
}

function showTexts() {
  fill(
    "lines",
    data.lines.map((line) => make("li", {}, line)),
  );
  fill(
    "notes",
    data.notes.map((note) => make("li", {}, note)),
  );
  byId("notes-part").hidden = !data.notes.length;
  fill(
    "facts",
    data.facts.map(([word, lines]) => [make("dt", {}, word), make("dd", {}, lines.join("\n"))]),
  );
}

showTexts();
startSummary();
byId("details").hidden = !data.cases.length;
if (data.cases.length) {
  startChoice();
  startThreshold();
  startHistogram();
  startScatter();
  startClasses();
  openCase(0, false);
}
document.getElementById(location.hash.slice(1))?.scrollIntoView(); // what it names was not there when the page came

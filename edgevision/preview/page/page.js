"use strict";
// All texts are set as text, never as HTML: names of classes and sources come from elsewhere.
const POLL_MS = 500, STILL_MS = 3000, LEAST_RELIABLE = 0.8;
const CAUSES = ["#e69f00", "#cc79a7", "#009e73", "#f0e442", "#d55e00", "#999999"]; // Okabe and Ito
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);
const set = (id, text) => { const node = byId(id); if (node.textContent !== text) node.textContent = text; };
const ms = (value) => (value >= 100 ? value.toFixed(0) : value.toFixed(1)) + " ms";
let frozen = null, still = false, ended = false, failures = 0; // still: frozen before the first frame

function make(name, attributes, text) {
  const node = document.createElementNS(name === "svg" || SHAPES.has(name) ? SVG : "http://www.w3.org/1999/xhtml", name);
  for (const key in attributes || {}) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  return node;
}
const SHAPES = new Set(["path", "rect", "line", "text"]);

function showPicture() {
  if (frozen) byId("picture").src = `/frozen/${frozen.frame.index}.jpg` + (frozen.showsMap ? "?explained" : "");
  else byId("picture").src = (still || ended ? "/picture.jpg?" : "/picture.mjpg?") + Date.now();
}

function niceTop(value) {
  const power = Math.pow(10, Math.floor(Math.log10(Math.max(value, 1e-6))));
  return [1, 2, 5, 10].map((factor) => factor * power).find((top) => top >= value);
}

function frameOf(chart, top, unit) {
  const width = Math.max(220, chart.clientWidth), height = Math.max(90, chart.clientHeight);
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const left = 40, bottom = height - 18, up = 6;
  const y = (value) => bottom - (bottom - up) * Math.min(1, value / top);
  const nodes = [];
  for (const share of [0, 0.5, 1]) {
    const at = y(top * share);
    nodes.push(make("line", { class: "grid", x1: left, x2: width, y1: at, y2: at }));
    nodes.push(make("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, String(+(top * share).toPrecision(3))));
  }
  nodes.push(make("text", { x: left, y: height - 3 }, "60 s ago"));
  nodes.push(make("text", { x: width, y: height - 3, "text-anchor": "end" }, "now"));
  return { nodes, left, width, bottom, y };
}

function drawLines(id, bars, name) {
  const chart = byId(id), given = bars.filter((bar) => bar !== null);
  const top = niceTop(Math.max(1, ...given.map((bar) => bar[1])));
  const area = frameOf(chart, top);
  const step = (area.width - area.left) / (bars.length - 1);
  const path = (place) => {
    let text = "", open = false;
    bars.forEach((bar, index) => {
      if (bar === null) { open = false; return; }
      text += `${open ? "L" : "M"}${(area.left + index * step).toFixed(1)} ${area.y(bar[place]).toFixed(1)}`;
      if (!open && (index + 1 >= bars.length || bars[index + 1] === null)) text += "h1";
      open = true;
    });
    return text;
  };
  area.nodes.push(make("path", { class: "high", d: path(1) }), make("path", { class: "median", d: path(0) }));
  chart.replaceChildren(...area.nodes);
  const last = given[given.length - 1];
  chart.setAttribute("aria-label", last ? `${name}: median ${ms(last[0])}, highest ${ms(last[1])} now` : `${name}: no answers`);
}

function drawDrops(history) {
  const chart = byId("chart-drops"), causes = Object.keys(history.dropped);
  const rows = [history.answered, ...causes.map((cause) => history.dropped[cause])].map((row) => row.map((count) => count / history.bucket_s));
  const sums = rows[0].map((_, index) => rows.reduce((sum, row) => sum + row[index], 0));
  const area = frameOf(chart, niceTop(Math.max(1, ...sums)));
  const step = (area.width - area.left) / sums.length;
  sums.forEach((_, index) => {
    let below = 0;
    rows.forEach((row, place) => {
      if (!row[index]) return;
      const low = area.y(below), high = area.y(below + row[index]);
      below += row[index];
      const shape = make("rect", { x: area.left + index * step, width: Math.max(1, step - 1), y: high, height: Math.max(0.5, low - high), class: place ? "dropped" : "answered" });
      if (place) shape.style.fill = CAUSES[(place - 1) % CAUSES.length];
      area.nodes.push(shape);
    });
  });
  chart.replaceChildren(...area.nodes);
  const total = causes.map((cause) => `${cause} ${history.dropped[cause].reduce((sum, count) => sum + count, 0)}`);
  chart.setAttribute("aria-label", "In the last minute: answered " + history.answered.reduce((sum, count) => sum + count, 0) + ", dropped: " + (total.join(", ") || "none"));
  const legend = ["answered", ...total].map((text, place) => {
    const item = make("li"), swatch = make("span", { class: "swatch" });
    swatch.style.background = place ? CAUSES[(place - 1) % CAUSES.length] : "var(--line)";
    item.append(swatch, text);
    return item;
  });
  byId("legend").replaceChildren(...legend);
}

function showFound(frame) {
  const rows = (frame.found || []).map((one) => {
    const item = make("li"), swatch = make("span", { class: "swatch" });
    swatch.style.background = one.color;
    const number = one.tracker_id === undefined ? "" : `#${one.tracker_id} `;
    if (one.score === undefined) {  // a line of another task's answer
      item.append(make("span", { class: "label", title: one.label }, one.label));
      return item;
    }
    const meter = make("span", { class: "meter" }), value = make("span");
    value.style.width = `${(100 * one.score).toFixed(1)}%`;
    meter.append(value);
    item.append(swatch, make("span", { class: "label", title: one.label }, number + one.label), make("span", { class: "number" }, `${(100 * one.score).toFixed(1)} %`), meter);
    return item;
  });
  byId("found").replaceChildren(...rows);
  set("found-title", frame.kind === "objects" ? `Found: ${frame.count}` : frame.kind === "classes" ? "Classes" : "Found");
  const none = frame.state !== "ok" && frame.state !== "stale" ? [frame.state === "failed" ? frame.status : `no answer: ${frame.status}`] : frame.kind === "objects" && !rows.length ? ["nothing found in this frame"] : [];
  set("found-none", none.concat(frame.verdicts || []).join("\n"));
}

function showState(kind, text) {
  const node = byId("state");
  node.className = "state " + kind;
  set("state", text);
}

// Health -> the state of a frame that has its colour.
const HEALTH = { ok: "ok", degraded: "stale", stale: "lost", failed: "failed", stopped: "ended" };
function showHealth(health) {
  const node = byId("health");
  node.hidden = false;
  node.className = "state " + (HEALTH[health.state] || "");
  node.title = health.reason;
  set("health", `model ${health.state}` + (health.restarts ? `, ${health.restarts} restarts` : ""));
}

function show(live) {
  if (live.health) showHealth(live.health);
  const history = live.history, recent = history.answered.slice(-7, -1);
  set("fps", (recent.reduce((sum, count) => sum + count, 0) / (recent.length * history.bucket_s)).toFixed(1));
  const last = (rows) => rows.slice(-4).filter((row) => row !== null).pop();
  const latency = last(history.latency_ms), age = last(history.age_ms);
  set("latency", latency ? ms(latency[0]) : "…");
  set("age", age ? ms(age[0]) : "…");
  const dropped = Object.values(live.dropped).reduce((sum, count) => sum + count, 0);
  set("drops", `${dropped} of ${live.captured}`);
  drawLines("chart-latency", history.latency_ms, "Latency");
  drawLines("chart-age", history.age_ms, "Age");
  drawDrops(history);
  if (live.frame) {
    const frame = live.frame, stopped = frame.since_ms > STILL_MS;
    set("source", `${frame.source} · ${frame.width} × ${frame.height} · policy ${live.policy}`);
    if (!frozen) showFrame(frame, stopped ? `, ${(frame.since_ms / 1000).toFixed(0)} s now` : "");
    const event = live.events[live.events.length - 1];
    if (event && (event.kind === "lost" || event.kind === "broken")) showState("lost", event.kind);
    else if (stopped && !live.ended) showState("lost", `no new answer for ${(frame.since_ms / 1000).toFixed(0)} s`);
    else showState(frame.state, frame.status);
  }
  if (live.explaining && frozen && frozen.asked) set("explained", `explaining: ${live.explaining[0]} of at most ${live.explaining[1]} runs`);
  byId("events").replaceChildren(...live.events.slice().reverse().map((event) => make("li", {}, `${event.at.slice(11, 19)} ${event.kind}: ${event.message}`)));
  for (const name in live.call) {
    const input = byId("threshold-" + name);
    if (input && live.call[name] !== null && document.activeElement !== input) { input.value = live.call[name]; input.dispatchEvent(new Event("shown")); }
  }
  if (live.ended) end("ended");
}

function showFrame(frame, more) {
  set("frame", `frame ${frame.index} · ${ms(frame.age_ms)} old when answered${more}`);
  byId("picture").alt = frame.found ? `Frame ${frame.index}: ` + (frame.found.map((one) => one.label).join(", ") || "nothing found") : `Frame ${frame.index}: ${frame.status}`;
  showFound(frame);
}

function end(text) {
  ended = true;
  showState("ended", text);
  byId("freeze").disabled = byId("explain").disabled = true;
}

const post = (path, body, more) => fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), ...more });

async function freeze() {
  const answer = await post("/freeze", {});
  if (!answer.ok) return;
  frozen = { ...await answer.json(), showsMap: false, explained: "", asked: null };
  showFrame(frozen.frame, ", frozen");
}

async function toggleFrozen() {
  const isFrozen = Boolean(frozen) || still;
  if (frozen && frozen.asked) frozen.asked.abort();
  frozen = null;
  still = !isFrozen;
  if (still) await freeze().catch(() => {});
  showFrozen();
  showPicture();
}

function showFrozen() {
  const button = byId("explain");
  byId("freeze").setAttribute("aria-pressed", String(still));
  set("freeze", still ? "Resume" : "Freeze");
  button.hidden = !(frozen && frozen.explainable && frozen.frame.found?.length);
  button.disabled = ended || Boolean(frozen && frozen.asked);
  button.setAttribute("aria-pressed", String(Boolean(frozen && frozen.showsMap)));
  set("explained", frozen ? frozen.explained : "");
}

async function toggleExplanation() {
  const one = frozen;
  if (!one.explained || !one.hasMap) {
    one.asked = new AbortController();
    one.explained = "explaining";
    showFrozen();
    try {
      const answer = await post(`/frozen/${one.frame.index}/explanation`, {}, { signal: one.asked.signal });
      const told = await answer.json();
      one.hasMap = answer.ok;
      one.explained = answer.ok ? explanationText(told) : `not explained: ${told.error}`;
    } catch {
      one.explained = "not explained: the stream does not answer";
    }
    one.asked = null;
    one.showsMap = false;
  }
  if (frozen !== one) return;
  one.showsMap = one.hasMap && !one.showsMap;
  showFrozen();
  showPicture();
}

function explanationText(told) {
  const quality = told.reliability === null ? "" : `; reliability ${told.reliability.toFixed(2)}` + (told.reliability < LEAST_RELIABLE ? ": the map says little" : "");
  return `bright: what the score of ${told.label} (${(100 * told.score).toFixed(1)} %) rests on${quality}; ${told.samples} runs`;
}

async function poll() {
  if (ended) return;
  try {
    const answer = await fetch("/live.json");
    if (!answer.ok) throw new Error(answer.status);
    failures = 0;
    show(await answer.json());
  } catch (error) {
    failures += 1;
    if (failures > 3) return end("the stream has ended");
  }
  setTimeout(poll, POLL_MS);
}

function slider(one) {
  const box = make("div", { class: "slider" }), id = "threshold-" + one.name;
  const input = make("input", { id, type: "range", min: one.least, max: one.most, step: one.step, value: one.value, "aria-describedby": id + "-hint" });
  const digits = one.step < 1 ? 2 : 0, output = make("output", { for: id }, Number(one.value).toFixed(digits));
  const tell = () => { output.textContent = Number(input.value).toFixed(digits); };
  input.addEventListener("shown", tell);
  input.addEventListener("input", tell);
  input.addEventListener("input", debounced(async () => {
    const answer = await post("/thresholds", { [one.name]: Number(input.value) });
    set("threshold-error", answer.ok ? "" : (await answer.json()).error);
  }));
  box.append(make("label", { for: id }, one.label), output, input, make("p", { class: "soft", id: id + "-hint" }, one.hint));
  return box;
}

function debounced(call) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(() => call().catch(() => set("threshold-error", "the stream does not answer")), 80); };
}

async function showCard() {
  const card = await (await fetch("/card.json")).json();
  set("name", card.name);
  document.title = `${card.name}: EdgeVision preview`;
  const facts = card.facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  if (card.digest) facts.push(make("dt", {}, "digest"), make("dd", { class: "digest" }, card.digest));
  byId("facts").replaceChildren(...facts);
  set("evidence", card.evidence + (card.artifact ? ` · ${card.artifact}` : ""));
  if (card.metrics.length) {
    set("interval", card.interval);
    const table = byId("metrics");
    table.tBodies[0].replaceChildren(...card.metrics.map((one) => {
      const row = make("tr");
      row.append(make("th", { scope: "row" }, one.name), make("td", {}, one.value), make("td", {}, one.interval), make("td", {}, one.source));
      return row;
    }));
    table.hidden = false;
  }
  byId("thresholds").hidden = card.thresholds.length === 0;
  byId("sliders").replaceChildren(...card.thresholds.map(slider));
}

byId("freeze").addEventListener("click", toggleFrozen);
byId("explain").addEventListener("click", toggleExplanation);
byId("picture").addEventListener("error", () => { if (!ended) setTimeout(showPicture, 1000); });
if (matchMedia("(prefers-reduced-motion: reduce)").matches) byId("freeze").click(); else showPicture();
showCard().catch(() => set("evidence", "the card cannot be loaded"));
poll();

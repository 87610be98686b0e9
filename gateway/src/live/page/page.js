// The live page: asks the gateway once for the past, listens to its stream, and draws. One file, no
// library. What is drawn is a function of `state` alone; the address bar holds what was chosen.
"use strict";

const ROWS = 4; // of the heat map, to a power of two
const WHY_EVERY = 5000;
const COLUMN = { "5m": 1, "1h": 10, "24h": 240 };
const SECONDS = { "5m": 300, "1h": 3600, "24h": 86400 };
// Listed as the gateway does (monitor::Phase): the order in which a request usually meets them.
const PHASES = ["receive", "gateway", "lag", "queue", "cache", "offload", "collapse", "pool", "resolve", "connect", "tls",
  "send", "server", "db", "server_cache", "transfer", "write", "retry", "hedge"];
const PHASE_SAYS = {
  receive: "the client sends its body", gateway: "our own work", lag: "our own threads are late",
  queue: "waiting to be let in", cache: "looking into disk or Redis", offload: "the job becomes durable, or is waited for", collapse: "another client fetches it",
  pool: "waiting for a connection", resolve: "finding the address", connect: "connecting", tls: "TLS handshake",
  send: "sending the request", server: "the server works", db: "its database", server_cache: "its cache",
  transfer: "the rest of the answer", write: "the client takes the answer", retry: "tries that failed", hedge: "before the second server",
};
const WHY_SAYS = { asked: "its caller asked", failed: "failed", slow: "slow", new: "first of its kind", sample: "sample" };

const state = {
  live: null, columns: [], why: undefined, kept: [], range: null, cell: null,
  span: "5m", sort: "time_share", up: false, request: null, theme: null,
  frozen: false, lost: 0, ready: false,
};

// -- small helpers ------------------------------------------------------------------------------

const $ = (id) => document.getElementById(id);

function el(tag, options, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options || {})) {
    if (name === "class") node.className = value;
    else if (name === "on") for (const [event, f] of Object.entries(value)) node.addEventListener(event, f);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Changes what differs and nothing else: most figures stay as they are from second to second.
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

function classed(node, name) {
  if (node.className !== name) node.className = name;
}

// Rows of a table, found again by key; each cell is [text, class] or a text, or a function that fills it.
function rows(body, list) {
  const known = body.known || (body.known = new Map());
  const seen = new Set();
  let place = body.firstElementChild;
  for (const { key, cells, type, open } of list) {
    let row = known.get(key);
    if (!row) {
      row = el("tr", { class: type || "" });
      if (open) {
        row.className = "open";
        row.addEventListener("click", (event) => { event.preventDefault(); open(); });
      }
      known.set(key, row);
    }
    seen.add(key);
    cells.forEach((cell, i) => {
      const at = row.children[i] || row.appendChild(document.createElement("td"));
      if (typeof cell === "function") return cell(at);
      const [text, name] = Array.isArray(cell) ? cell : [cell, ""];
      say(at, text);
      classed(at, name);
      if (text.length > 12 && at.title !== text) at.title = text;
    });
    if (row === place) place = place.nextElementSibling;
    else body.insertBefore(row, place);
  }
  for (const [key, row] of known) {
    if (!seen.has(key)) { row.remove(); known.delete(key); }
  }
}

function digits(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-US").replace(/,/g, "\u202f");
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.1 ? 2 : 3);
}

// A time in the unit that reads best: [number, unit].
function time(ms) {
  if (ms === null || ms === undefined) return ["–", ""];
  if (ms >= 10000) return [digits(ms / 1000), "s"];
  if (ms >= 1000) return [(ms / 1000).toFixed(2), "s"];
  if (ms >= 0.995 || ms === 0) return [digits(ms), "ms"];
  return [digits(ms * 1000), "µs"];
}

const count = (value) => Math.round(value).toLocaleString("en-US").replace(/,/g, "\u202f");
const ms = (value) => time(value).join("\u00a0").trim();
const rate = (value) => digits(value);

function share(value) {
  if (value === null || value === undefined) return "–";
  const percent = value * 100;
  if (percent === 0) return "0\u00a0%";
  if (percent < 0.01) return "<\u00a00.01\u00a0%";
  return (percent < 1 ? percent.toFixed(2) : percent < 99.95 && percent >= 10 ? percent.toFixed(1) : percent < 10 ? percent.toFixed(1) : "100") + "\u00a0%";
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (value >= 1024 && i < units.length - 1) { value /= 1024; i += 1; }
  return (i === 0 ? String(value) : digits(value)) + "\u00a0" + units[i];
}

const two = (n) => String(n).padStart(2, "0");

function clock(at, seconds = true) {
  const date = new Date(at);
  return `${two(date.getHours())}:${two(date.getMinutes())}` + (seconds ? `:${two(date.getSeconds())}` : "");
}

function duration(seconds) {
  return seconds < 90 ? `${seconds} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

// -- is it fast ---------------------------------------------------------------------------------

const NEEDS = { p50: "40", p95: "400", p99: "2\u202f000" };

function figures() {
  const { total, cache } = state.live;
  const percentile = (name, i) => {
    const value = total[`${name}_ms`];
    const over = total.percentiles_over_s[i];
    const note = value === null ? `needs ${NEEDS[name]}` : over > total.over_s ? `over ${duration(over)}` : "";
    return [name, time(value), note];
  };
  const part = (value) => { const [number, unit] = share(value).split("\u00a0").slice(-2); return unit ? [number, unit] : [number, ""]; };
  const micros = (value) => (value === null ? ["–", ""] : time(value / 1000));
  const list = [
    ["requests", [rate(total.rps), "/s"], `${count(total.count)} in ${total.over_s} s`],
    percentile("p50", 0), percentile("p95", 1), percentile("p99", 2),
    ["max", time(total.max_ms), ""],
    ["errors", part(total.error_share), "500 and above", total.error_share > 0.001 ? "bad" : ""],
    ["cache hits", cache ? part(total.hit_share) : ["–", ""], cache ? "of requests" : "no route caches"],
    ["to services", part(total.origin_share), "of requests"],
    ["own time", micros(total.own_us), "per request"],
    ["own CPU", micros(total.cpu_us), `${share(total.cpu_share)} of a core`],
  ];
  const box = $("figures");
  list.forEach(([name, [number, unit], note, type], i) => {
    let at = box.children[i];
    if (!at) {
      at = el("div", {}, el("dt"), el("dd", {}, document.createTextNode(""), el("span")), el("small"));
      box.append(at);
    }
    const [dt, dd, small] = at.children;
    say(dt, name);
    if (dd.firstChild.data !== number) dd.firstChild.data = number;
    say(dd.lastChild, unit);
    classed(dd, type || "");
    say(small, note);
  });
}

function objectives() {
  const list = state.live.objectives || [];
  show($("objectives"), list.length > 0);
  const line = (it) => {
    const burn = `its budget burns ${digits(it.burn["1h"])}× (1 h), ${digits(it.burn["5m"])}× (5 min)`;
    const alert = it.alert ? `; ${it.alert}` : "";
    return `${it.route}: ${it.objective}: ${burn}, ${share(Math.max(0, it.left))} left${alert}`;
  };
  const met = (it) => !it.alert && it.burn["1h"] <= 1;
  const box = $("objectives");
  const key = JSON.stringify(list.map((it) => [line(it), met(it)]));
  if (box.key === key) return;
  box.key = key;
  box.replaceChildren(...list.map((it) => el("li", { class: met(it) ? "good" : "bad" }, line(it))));
}

function notices() {
  const list = state.live.notices || [];
  const box = $("notices");
  const key = JSON.stringify(list);
  if (box.key === key) return;
  box.key = key;
  box.replaceChildren(...list.map((it) => el("li", { class: it.level }, it.text)));
}

// -- the heat map -------------------------------------------------------------------------------

// The shortest duration of a row, in milliseconds: rows are those of monitor::Sketch.
function rowFrom(row) {
  const octave = Math.floor(row / ROWS);
  const bucket = row % ROWS;
  return (octave === 0 ? bucket : (bucket + ROWS) * 2 ** (octave - 1)) / 1e6;
}

const PLOT = { left: 54, right: 6, top: 4, bottom: 18 };

// How many seconds are shown: while the gateway is young, not more than it has lived.
function visible() {
  const grain = { "5m": 60, "1h": 600, "24h": 3600 }[state.span];
  const lived = state.live ? Math.max(1, Math.ceil(state.live.uptime_s / grain)) * grain : Infinity;
  return Math.min(SECONDS[state.span], lived);
}

// Which rows and which time the map shows.
function frame() {
  let low = Infinity;
  let high = 0;
  for (const column of state.columns) {
    for (const band of [column.store, column.service]) {
      if (band.length) { low = Math.min(low, band[0]); high = Math.max(high, band[band.length - 2]); }
    }
  }
  if (high === 0) { low = 72; high = 112; }
  low = Math.max(0, low - 2);
  high += 3;
  // Three powers of ten at least: else a steady service looks like a wild one.
  const lacks = Math.max(0, 40 - (high - low));
  low = Math.max(0, low - Math.ceil(lacks / 2));
  high += Math.floor(lacks / 2);
  const end = state.columns.length ? state.columns[state.columns.length - 1].at : state.live ? state.live.at : Date.now();
  const step = COLUMN[state.span] * 1000;
  return { low, high, end, begin: end - visible() * 1000, step };
}

function place(canvas) {
  const it = frame();
  const width = canvas.clientWidth - PLOT.left - PLOT.right;
  const height = canvas.clientHeight - PLOT.top - PLOT.bottom;
  it.x = (at) => PLOT.left + ((at - it.begin) / (it.end - it.begin)) * width;
  it.y = (row) => PLOT.top + height - ((row - it.low) / (it.high - it.low)) * height;
  it.row = (value) => {
    // Where between rows a duration lies: log between powers of two.
    const nanos = Math.max(1, value * 1e6);
    const octave = Math.max(0, Math.floor(Math.log2(nanos)) - 1);
    const base = octave === 0 ? 0 : ROWS * 2 ** (octave - 1);
    return octave * ROWS + (octave === 0 ? nanos : (nanos / base - 1) * ROWS);
  };
  it.width = width;
  it.height = height;
  return it;
}

function drawMap() {
  const canvas = $("map");
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (width === 0) return;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const it = place(canvas);
  grid(pen, it, color);
  const most = Math.max(1, ...state.columns.map((column) => {
    let top = 0;
    for (const band of [column.store, column.service]) for (let i = 1; i < band.length; i += 2) top = Math.max(top, band[i]);
    return top;
  }));
  const bands = [["store", color("--store"), 0], ["service", color("--service"), 1]];
  for (const column of state.columns) {
    const right = it.x(column.at);
    const left = Math.max(PLOT.left, it.x(column.at - column.ms));
    if (right <= PLOT.left) continue;
    const both = new Set();
    for (let i = 0; i < column.store.length; i += 2) both.add(column.store[i]);
    for (const [name, tint, side] of bands) {
      const band = column[name];
      for (let i = 0; i < band.length; i += 2) {
        const shared = both.has(band[i]) && has(column.service, band[i]);
        const half = (right - left) / 2;
        const x = shared && side === 1 ? left + half : left;
        const y = it.y(band[i] + 1);
        pen.fillStyle = `rgba(${tint}, ${0.28 + 0.72 * (Math.log1p(band[i + 1]) / Math.log1p(most))})`;
        pen.fillRect(x, y, Math.max(1, (shared ? half : right - left)), Math.max(1, it.y(band[i]) - y - 0.5));
      }
    }
  }
  line(pen, it, "p50_ms", color("--mark"), color("--panel"), [2, 3]);
  line(pen, it, "p99_ms", color("--mark"), color("--panel"), []);
  if (state.cell) outline(pen, it, color("--mark"));
}

function has(band, row) {
  for (let i = 0; i < band.length; i += 2) if (band[i] === row) return true;
  return false;
}

function grid(pen, it, color) {
  pen.font = "11px system-ui, 'DejaVu Sans', sans-serif";
  pen.fillStyle = color("--soft");
  pen.strokeStyle = color("--line");
  pen.lineWidth = 1;
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  for (let power = -6; power <= 6; power += 1) {
    const row = it.row(10 ** power);
    if (row < it.low || row > it.high) continue;
    const y = Math.round(it.y(row)) + 0.5;
    pen.beginPath(); pen.moveTo(PLOT.left, y); pen.lineTo(PLOT.left + it.width, y); pen.stroke();
    const tick = 10 ** power;
    const label = tick >= 1000 ? `${tick / 1000} s` : tick >= 1 ? `${tick} ms` : `${Math.round(tick * 1000)} µs`;
    if (y < PLOT.top + it.height - 2) pen.fillText(label, PLOT.left - 6, Math.max(y, 8));
  }
  pen.textBaseline = "alphabetic";
  const shown = visible();
  const step = [10, 30, 60, 300, 600, 1800, 3600, 14400].find((each) => shown / each <= 7) * 1000;
  const offset = new Date().getTimezoneOffset() * 60000;
  for (let at = Math.ceil((it.begin - offset) / step) * step + offset; at <= it.end; at += step) {
    const x = Math.round(it.x(at)) + 0.5;
    pen.beginPath(); pen.moveTo(x, PLOT.top); pen.lineTo(x, PLOT.top + it.height); pen.stroke();
    pen.textAlign = x > PLOT.left + it.width - 20 ? "right" : x < PLOT.left + 20 ? "left" : "center";
    pen.fillText(clock(at, step < 60000), x, PLOT.top + it.height + 14);
  }
  pen.strokeRect(PLOT.left + 0.5, PLOT.top + 0.5, it.width - 1, it.height - 1);
}

function line(pen, it, name, color, ground, dash) {
  pen.beginPath();
  let drawn = false;
  let before = 0;
  for (const column of state.columns) {
    const x = it.x(column.at - column.ms / 2);
    const gap = column.at - column.ms - before > 1.5 * it.step;
    before = column.at;
    if (column[name] === null || x < PLOT.left) { drawn = false; continue; }
    const y = it.y(it.row(column[name]));
    if (drawn && !gap) pen.lineTo(x, y); else pen.moveTo(x, y);
    drawn = true;
  }
  // On a ground of its own, to stand out from cells of any shade.
  for (const [ink, width, dots] of [[ground, 3.5, []], [color, 1.5, dash]]) {
    pen.strokeStyle = ink;
    pen.lineWidth = width;
    pen.setLineDash(dots);
    pen.stroke();
  }
  pen.setLineDash([]);
}

function outline(pen, it, color) {
  const { at, row } = state.cell;
  const column = state.columns.find((one) => one.at === at);
  if (!column) return;
  const left = Math.max(PLOT.left, it.x(at - column.ms));
  pen.strokeStyle = color;
  pen.lineWidth = 1.5;
  pen.strokeRect(left - 2, it.y(row + 1) - 2, it.x(at) - left + 4, it.y(row) - it.y(row + 1) + 4);
}

function counted(column, row) {
  const of = (band) => { for (let i = 0; i < band.length; i += 2) if (band[i] === row) return band[i + 1]; return 0; };
  return [of(column.store), of(column.service)];
}

function readout() {
  const { cell } = state;
  if (!cell) return say($("readout"), "point at a cell, or use the arrow keys; click or Enter lists its requests");
  const column = state.columns.find((it) => it.at === cell.at);
  if (!column) return say($("readout"), "");
  const [store, service] = counted(column, cell.row);
  const all = `${count(column.count)} in all` + (column.errors ? `, ${count(column.errors)} errors` : "");
  say($("readout"), `${clock(column.at)} · ${ms(rowFrom(cell.row))} to ${ms(rowFrom(cell.row + 1))}: ` +
    `${count(store)} answered here, ${count(service)} by a service (${all})`);
}

function point(event) {
  const canvas = $("map");
  const it = place(canvas);
  const box = canvas.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const at = it.begin + ((x - PLOT.left) / it.width) * (it.end - it.begin);
  const column = state.columns.find((one) => one.at >= at && one.at - one.ms <= at);
  const row = Math.floor(it.low + ((PLOT.top + it.height - y) / it.height) * (it.high - it.low));
  state.cell = column && row >= 0 ? { at: column.at, row } : null;
  drawMap();
  readout();
}

function step(event) {
  const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (event.key === "Enter" && state.cell) { pick(); return; }
  if (!move || !state.columns.length) return;
  event.preventDefault();
  const last = state.columns.length - 1;
  let index = state.cell ? state.columns.findIndex((one) => one.at === state.cell.at) : -1;
  let row = state.cell ? state.cell.row : null;
  if (index < 0) index = last; else index = Math.min(last, Math.max(0, index + move[0]));
  const column = state.columns[index];
  if (row === null) {
    const band = column.service.length ? column.service : column.store;
    row = band.length ? band[band.length - 2] : frame().low;
  } else row = Math.max(0, row + move[1]);
  state.cell = { at: column.at, row };
  drawMap();
  readout();
}

// Lists the kept requests of the cell, in its time and about its latency.
async function pick() {
  const { at, row } = state.cell;
  const column = state.columns.find((one) => one.at === at);
  state.range = { from: at - (column ? column.ms : 1000), to: at, low: rowFrom(row), high: rowFrom(row + 1) };
  await keptOfRange();
  $("kept").scrollIntoView({ block: "nearest" });
}

async function keptOfRange() {
  const { from, to, low, high } = state.range;
  const list = await ask(`requests?from=${Math.floor(from)}&to=${Math.ceil(to)}&min_ms=${low}&max_ms=${high}&limit=50`);
  if (list) { state.kept = list; kept(); }
}

// -- where the time goes ------------------------------------------------------------------------

function times() {
  const { middle, tail, count: all, over_s: over } = state.live.time;
  const bars = [middle, tail].filter((band) => band);
  say($("time-of"), bars.length ? `means around ${bars.map((b) => b.name).join(" and ")} of ${count(all)} requests, ${over} s` : "");
  show($("phases"), bars.length > 0);
  say($("time-none"), bars.length === 0
    ? `Not known yet: it takes 40 requests in a minute for the median and 200 for the tail; there were ${count(all)}.`
    : tail ? "" : `The tail takes 200 requests in a minute; there were ${count(all)}.`);
  const box = $("bars");
  while (box.children.length > bars.length) box.lastChild.remove();
  bars.forEach((band, i) => {
    let at = box.children[i];
    if (!at) { at = el("div", { class: "bar" }, el("b"), el("div", { class: "strip", role: "img" }), el("span", { class: "whole" })); box.append(at); }
    const [name, strip, whole] = at.children;
    say(name, band.name);
    say(whole, ms(band.ms));
    strips(strip, PHASES.filter((phase) => seen(band, phase)).map((phase) => [phase, `ph-${phase}`, band.parts[phase], ms(band.parts[phase])]));
  });
  const part = (band, phase) => (band ? band.parts[phase] || 0 : null);
  const dash = (value) => (value === 0 ? "–" : ms(value));
  const more = (phase) => (part(tail, phase) || 0) - (part(middle, phase) || 0);
  const told = PHASES.filter((phase) => seen(middle, phase) || seen(tail, phase));
  told.sort((a, b) => more(b) - more(a) || (part(middle, b) || 0) - (part(middle, a) || 0));
  say($("mid-h"), middle ? middle.name : "p50");
  say($("tail-h"), tail ? tail.name : "tail");
  rows($("phases").tBodies[0], told.slice(0, 9).map((phase) => ({
    key: phase,
    cells: [
      (at) => {
        if (!at.firstChild) at.append(el("i", { class: `ph-${phase}` }), phase.replace("_", " "), el("small", {}, ` ${PHASE_SAYS[phase]}`));
        at.title = PHASE_SAYS[phase];
      },
      [dash(part(middle, phase)), "n"], [dash(part(tail, phase)), "n"],
      [tail && middle ? signed(more(phase)) : "–", "n"],
    ],
  })));
}

// Is a phase worth a segment: a five-hundredth of the whole?
const seen = (band, phase) => Boolean(band) && (band.parts[phase] || 0) > band.ms / 500;

const signed = (value) => (Math.abs(value) < 0.0005 ? "–" : (value > 0 ? "+" : "−") + ms(Math.abs(value)));

// Segments of one bar: [name, class, size, text].
function strips(strip, parts) {
  const sum = parts.reduce((all, part) => all + part[2], 0) || 1;
  while (strip.children.length > parts.length) strip.lastChild.remove();
  parts.forEach(([name, type, size, text], i) => {
    const at = strip.children[i] || strip.appendChild(el("i"));
    classed(at, type);
    at.style.flexGrow = String(size / sum);
    const wide = (size / sum) * (strip.clientWidth || 400);
    say(at, wide > 7 * (name.length + text.length) + 14 ? `${name.replace("_", " ")} ${text}` : wide > 7 * name.length + 8 ? name.replace("_", " ") : "");
    at.title = `${name}: ${text}`;
  });
  strip.setAttribute("aria-label", parts.map(([name, , , text]) => `${name} ${text}`).join(", "));
}

// -- why, and what next -------------------------------------------------------------------------

function why() {
  const it = state.why;
  const findings = it && it.findings ? it.findings : [];
  say($("why-of"), it && it.count !== undefined ? `${count(it.count)} requests in ${it.window_s} s` : "");
  const finding = (one) => el("li", {},
    el("b", {}, el("span", { class: "ms" }, one.ms ? `+${ms(one.ms)}` : ""), one.title || one.cause), one.sentence || "");
  lines($("findings"), findings, finding);
  lines($("next"), findings.filter((one) => one.next), (one) => el("li", {}, one.next));
  const absent = it === undefined ? "asking …" : it === null ? "This gateway does not explain tails." : "";
  say($("why-none"), absent || (findings.length ? "" : it.count ? "Nothing stands out: slow requests are like the others." : "No requests to explain."));
  say($("next-none"), absent || (findings.some((one) => one.next) ? "" : "Nothing to do."));
  const keys = (it && it.slow_keys) || [];
  show($("keys"), keys.length > 0);
  rows($("keys").querySelector("tbody"), keys.slice(0, 6).map((one) => ({
    key: one.key, cells: [one.key, [count(one.count), "n"], [ms(one.p50_ms), "n"], [ms(one.p99_ms), "n"], [share(one.share), "n"]],
  })));
  const map = (it && it.map) || [];
  show($("hops"), map.length > 0);
  rows($("hops").querySelector("tbody"), map.slice(0, 8).map((hop) => ({
    key: `${hop.from} → ${hop.to}`,
    cells: [
      `${hop.from} → ${hop.to}` + (hop.serial > 1.5 ? ` (${digits(hop.serial)} one after another)` : ""),
      [count(hop.count), "n"], [ms(hop.p50_ms), "n"], [ms(hop.p99_ms), "n"], [share(hop.error_share), hop.error_share > 0.001 ? "n bad" : "n"],
    ],
  })));
}

function lines(box, list, make) {
  const key = JSON.stringify(list);
  if (box.key === key) return;
  box.key = key;
  box.replaceChildren(...list.map(make));
}

// -- routes, services, cache --------------------------------------------------------------------

function routes() {
  const { sort, up } = state;
  const list = [...state.live.routes];
  const value = (route) => (route[sort] === null ? -1 : route[sort]);
  list.sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0) * (up ? 1 : -1));
  rows($("routes").querySelector("tbody"), list.map((route) => ({
    key: route.route,
    cells: [
      route.route === "-" ? "no route takes it" : route.route,
      [rate(route.rps), "n"], [ms(route.p50_ms), "n"], [ms(route.p99_ms), "n"], [ms(route.max_ms), "n"],
      [share(route.hit_share), "n"], [share(route.error_share), route.error_share > 0.001 ? "n bad" : "n"],
      (at) => meter(at, route.time_share),
    ],
  })));
  for (const head of $("routes").querySelectorAll("th")) {
    const mine = head.firstElementChild.dataset.sort === sort;
    if (mine) head.setAttribute("aria-sort", up ? "ascending" : "descending"); else head.removeAttribute("aria-sort");
  }
  const more = state.live.routes_more;
  say($("routes-none"), list.length === 0 ? "No route was used in the last minute." : more ? `And ${more} more, with less time: live.json has them all.` : "");
}

function meter(at, value) {
  if (!at.firstChild) at.append(el("span", { class: "meter" }, el("i")), document.createTextNode(""));
  at.firstChild.firstChild.style.width = `${(value || 0) * 100}%`;
  const text = ` ${share(value)}`;
  if (at.lastChild.data !== text) at.lastChild.data = text;
}

function services() {
  const list = [];
  for (const service of state.live.services) {
    const { limit, hedge } = service;
    const parts = [service.service];
    if (limit) parts.push(`limit ${limit.limit}${limit.mode === "observe" ? " (observed)" : ""}: ${limit.in_flight} in flight, ${limit.waiting} wait`);
    if (hedge) parts.push(hedge.delay_ms !== undefined ? `hedges after ${ms(hedge.delay_ms)}` : `no hedges now: ${hedge.not_now}`);
    list.push({ key: `s ${service.service}`, type: "head", cells: [(at) => { at.colSpan = 6; say(at, parts.join(" · ")); }] });
    for (const server of service.servers) {
      const back = server.back_in_ms ? `, back in ${ms(server.back_in_ms)}` : "";
      const condition = server.condition + (server.why ? `: ${server.why}` : "") + back;
      list.push({
        key: `s ${service.service} ${server.server}`,
        cells: [
          server.server.replace(/^http:\/\//, ""),
          [condition, server.condition === "up" ? "good" : server.condition === "probation" ? "warn" : "bad"],
          [rate(server.rps) + (server.failures_per_s ? ` (${rate(server.failures_per_s)} fail)` : ""), server.failures_per_s ? "n bad" : "n"],
          [ms(server.latency_ms), "n"], [count(server.in_flight), "n"],
          [server.ejections ? `${count(server.ejections)}×` : "0", "n"],
        ],
      });
    }
    if (service.servers_more) list.push({ key: `s ${service.service} +`, cells: [`and ${service.servers_more} more`] });
  }
  rows($("services").querySelector("tbody"), list);
  const more = state.live.services_more;
  say($("services-none"), list.length === 0 ? "The settings name no service." : more ? `And ${more} more services: /servers has them all.` : "");
}

// How long ago, in the largest unit that says it well.
const since = (s) => (s < 1 ? "–" : s < 120 ? `${Math.round(s)}\u00a0s` : s < 7200 ? `${Math.round(s / 60)}\u00a0min` : s < 172800 ? `${Math.round(s / 3600)}\u00a0h` : `${Math.round(s / 86400)}\u00a0d`);

function jobs() {
  const it = state.live.jobs;
  show($("jobs"), Boolean(it));
  if (!it) return;
  say($("jobs-of"), it.closed ? "the log is closed" : `${count(it.accepted)} accepted since the start, the log has ${bytes(it.log_bytes)}`);
  rows($("jobs").querySelector("tbody"), it.queues.map((queue) => {
    const waits = queue.ready + queue.scheduled;
    const held = queue.away ? " (service away)" : queue.paused_s ? ` (paused ${since(Math.max(1, queue.paused_s))})` : "";
    return {
      key: queue.queue,
      cells: [
        [queue.queue + held, queue.away ? "bad" : held ? "warn" : ""],
        (at) => { classed(at, "n"); say(at, count(waits)); at.title = `${count(queue.ready)} due, ${count(queue.scheduled)} later`; },
        [since(queue.oldest_s), queue.oldest_s > 60 ? "n warn" : "n"],
        [rate(queue.in_per_s), "n"], [rate(queue.out_per_s), "n"],
        [rate(queue.failed_per_s), queue.failed_per_s > 0 ? "n wide bad" : "n wide"],
        [`${count(queue.running + queue.handed)} of ${count(queue.limit)}`, "n wide"],
        (at) => {
          classed(at, queue.dead ? "n bad" : "n");
          const known = at.firstElementChild;
          if (!queue.dead) { if (known) known.remove(); say(at, "0"); return; }
          if (!known) { at.replaceChildren(el("a", { href: `jobs/dead?queue=${encodeURIComponent(queue.queue)}`, title: "Which, as JSON; fleetfoot jobs dead in a terminal" })); }
          say(at.firstElementChild, count(queue.dead));
        },
      ],
    };
  }));
  say($("jobs-none"), it.queues_more ? `And ${it.queues_more} more queues: live.json has them.` : "");
}

const VERDICTS = [["hit", "hit"], ["stale", "hit"], ["tier", "hit"], ["collapsed", "half"], ["validated", "half"], ["miss", "miss"], ["private", "miss"], ["pass", "pass"]];

function cache() {
  const it = state.live.cache;
  say($("cache-none"), it ? "" : "No route caches.");
  const told = it ? VERDICTS.filter(([name]) => it.verdicts[name] > 0) : [];
  strips($("verdicts"), told.map(([name, type]) => [name, type, it.verdicts[name], count(it.verdicts[name])]));
  if (!it) { lines($("stores"), [], () => null); return; }
  const list = [["memory", `${bytes(it.memory_bytes)} of ${bytes(it.memory_limit_bytes)}, ${count(it.resources)} resources, ${count(it.evictions)} evicted`]];
  if (it.fetches) list.push(["under way", `${count(it.fetches)} fetches`]);
  if (it.disk) list.push(["disk", `${bytes(it.disk.bytes)}, ${count(it.disk.hits)} of ${count(it.disk.gets)} found, ${count(it.disk.failures)} failures`]);
  if (it.shared) {
    const well = !it.shared.healthy ? "does not answer" : !it.shared.trusted ? "not trusted until a purge is through" : "answers";
    list.push(["shared", `${well}, ${count(it.shared.hits)} of ${count(it.shared.gets)} found, ${ms(it.shared.mean_ms)} each, ${count(it.shared.failures)} failures`]);
  }
  if (told.length === 0) list.push(["lately", "nothing asked of it"]);
  definitions($("stores"), list);
}

function definitions(box, list) {
  const key = JSON.stringify(list);
  if (box.key === key) return;
  box.key = key;
  box.replaceChildren(...list.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]));
}

// -- kept requests ------------------------------------------------------------------------------

function kept() {
  const list = state.range ? state.kept : state.live.kept;
  show($("latest"), Boolean(state.range));
  const { range } = state;
  say($("kept-of"), range ? `${clock(range.from)} to ${clock(range.to)}, ${ms(range.low)} to ${ms(range.high)}` : "the latest of those that failed, were slow, new, or a sample");
  rows($("kept").querySelector("tbody"), list.slice(0, range ? 50 : 8).map((one) => ({
    key: `${one.id} ${one.at}`,
    open: () => open(one.id),
    cells: [
      clock(one.at), [ms(one.ms), "n"], [one.why, one.why === "failed" ? "bad" : one.why === "slow" ? "warn" : ""],
      [one.status ? String(one.status) : one.fault || "–", one.status >= 500 ? "bad" : ""],
      (at) => {
        if (!at.firstChild) at.append(el("a", { href: `#request=${one.id}` }));
        say(at.firstChild, `${one.method} ${one.target}`);
        at.title = `${one.method} ${one.target}`;
      },
    ],
  })));
  say($("kept-none"), list.length ? "" : range ? "None was kept of these: of the many that went well, only a sample is." : "None yet.");
}

function open(id) {
  state.request = id;
  remember();
  waterfall();
}

async function waterfall() {
  const id = state.request;
  const panel = $("one");
  if (!id) { if (panel.open) panel.close(); return; }
  const it = await ask(`requests/${encodeURIComponent(id)}`);
  if (state.request !== id) return;
  if (!panel.open) panel.showModal();
  if (!it) {
    say($("one-h"), `Request ${id}`);
    say($("one-of"), "It is not kept, or no longer: the last 1,024 are.");
    $("fall").replaceChildren();
    $("one-facts").replaceChildren();
    $("one-facts").key = "";
    return;
  }
  say($("one-h"), `${it.method} ${it.target}`);
  say($("one-of"), `${it.status || it.fault || "no answer"} after ${ms(it.ms)}, ${new Date(it.at).toLocaleString()}; kept: ${WHY_SAYS[it.why] || it.why}`);
  const row = (name, type, from, took, title) => {
    const bar = el("i", { class: type });
    bar.style.left = `${Math.min(100, (from / it.ms) * 100)}%`;
    bar.style.width = `${Math.min(100 - Math.min(100, (from / it.ms) * 100), (took / it.ms) * 100)}%`;
    return el("div", { class: "row", title }, el("span", {}, name), el("div", { class: "track" }, bar), el("span", { class: "ms" }, ms(took)));
  };
  const phases = it.phases.map((one) => row(one.phase.replace("_", " "), `ph-${one.phase}`, one.from_ms, one.ms, PHASE_SAYS[one.phase]));
  const tries = it.tries.map((one) => {
    const end = one.status ? String(one.status) : one.fault || "given up";
    const name = `${one.number} ${one.cause} · ${one.server.replace(/^http:\/\//, "")} → ${end}`;
    return row(name, one.status && one.status < 500 ? "try" : "failed", one.from_ms, one.ms, `${name}, ${one.reused ? "on a connection used before" : "on a new connection"}`);
  });
  $("fall").replaceChildren(el("h3", {}, "phases, each the sum of its time, in the usual order"), ...phases,
    ...(tries.length ? [el("h3", {}, "tries at servers, by the clock"), ...tries] : []));
  definitions($("one-facts"), [
    ["host", it.host], ["route", it.route || "none"], ["service", it.service || "none asked"], ["cache", it.cached || "not asked"],
    ["fault", it.fault || "none"], ["client", `${it.client}, ${it.protocol}${it.tls ? " over TLS" : ""}`], ["user agent", it.user_agent || "–"],
    ["sent", bytes(it.sent_bytes)], ["trace", it.trace || "off"], ["request id", it.request_id || "–"],
  ]);
}

// -- all of it ----------------------------------------------------------------------------------

function draw() {
  if (!state.live) return;
  // After a restart jobs may be at work before the first request comes.
  const { jobs: offloaded } = state.live;
  const works = Boolean(offloaded) && offloaded.queues.some((it) => it.ready + it.scheduled + it.running + it.handed + it.dead > 0);
  const empty = state.live.served === 0 && !works;
  show($("empty"), empty);
  document.querySelector("main").hidden = empty;
  notices();
  if (empty) {
    // An address that means every one is no address to ask.
    const [address] = state.live.listen;
    if (address) say($("try"), `curl ${address.startsWith("https") ? "-k " : ""}${address.replace("0.0.0.0", location.hostname).replace("[::]", location.hostname)}/`);
    const all = (service) => service.servers.length + (service.servers_more || 0);
    say($("behind"), state.live.services.map((service) => `${service.service} (${all(service)} server${all(service) === 1 ? "" : "s"}, ` +
      `${service.servers.filter((server) => server.condition === "up").length + (service.servers_more || 0)} up)`).join(", ") || "no service");
  }
  if (!empty) { figures(); objectives(); drawMap(); readout(); times(); why(); routes(); jobs(); services(); cache(); kept(); }
  say($("where"), `${location.host} · ${state.live.version} · up ${duration(state.live.uptime_s)}`);
  if (!state.ready) {
    state.ready = true;
    document.documentElement.dataset.ready = String(Math.round(performance.now()));
  }
}

function link() {
  const at = $("link");
  classed(at, state.frozen ? "frozen" : state.lost ? "lost" : state.live ? "live" : "");
  say(at.lastElementChild, state.frozen ? `frozen at ${clock(state.live ? state.live.at : Date.now())}`
    : state.lost ? "connection lost" : state.live ? "live, every second" : "connecting …");
  show($("lost"), Boolean(state.lost) && !state.frozen);
  if (state.lost) say($("lost"), `No word from the gateway since ${clock(state.lost)}: what is shown is old. Trying again every few seconds.`);
  document.body.classList.toggle("stale", Boolean(state.lost) && !state.frozen);
}

async function ask(path) {
  try {
    const answer = await fetch(path);
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

async function loadHistory() {
  const { span } = state;
  const it = await ask(`history.json?span=${span}`);
  if (it && it.span === span && state.span === span) {
    state.columns = it.columns;
    if (!state.frozen) draw();
  }
}

async function loadWhy() {
  if (document.hidden || state.frozen) return;
  state.why = await ask("why.json");
  if (state.live && state.live.served) why();
}

let source = null;

function listen() {
  if (source) source.close();
  source = new EventSource("live");
  source.onmessage = (event) => {
    const back = state.lost;
    state.lost = 0;
    const live = JSON.parse(event.data);
    if (back) loadHistory();
    if (state.frozen) { link(); return; }
    take(live);
  };
  source.onerror = () => {
    if (!state.lost) state.lost = state.live ? state.live.at : Date.now();
    link();
    // A refusal ends it for good, a broken connection does not.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  };
}

function take(live) {
  const before = state.live ? state.live.at : 0;
  state.live = live;
  const newest = live.heat;
  const last = state.columns[state.columns.length - 1];
  if (state.span === "5m" && newest && (!last || newest.at > last.at)) {
    state.columns.push(newest);
    const begin = newest.at - SECONDS["5m"] * 1000;
    while (state.columns.length && state.columns[0].at <= begin) state.columns.shift();
  } else if (state.span !== "5m" && Math.floor(before / (COLUMN[state.span] * 1000)) !== Math.floor(live.at / (COLUMN[state.span] * 1000))) loadHistory();
  link();
  draw();
}

// What was chosen, in the address bar.
function remember() {
  const parts = new URLSearchParams();
  if (state.span !== "5m") parts.set("span", state.span);
  if (state.sort !== "time_share" || state.up) parts.set("sort", (state.up ? "-" : "") + state.sort);
  if (state.theme) parts.set("theme", state.theme);
  if (state.request) parts.set("request", state.request);
  const text = parts.toString();
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  state.span = COLUMN[parts.get("span")] ? parts.get("span") : "5m";
  const sort = (parts.get("sort") || "time_share").replace(/^-/, "");
  state.sort = document.querySelector(`[data-sort="${CSS.escape(sort)}"]`) ? sort : "time_share";
  state.up = (parts.get("sort") || "").startsWith("-");
  state.theme = ["dark", "light"].includes(parts.get("theme")) ? parts.get("theme") : null;
  state.request = parts.get("request");
  chosen();
}

function chosen() {
  for (const button of document.querySelectorAll("[data-span]")) button.setAttribute("aria-pressed", String(button.dataset.span === state.span));
  if (state.theme) document.documentElement.dataset.theme = state.theme; else delete document.documentElement.dataset.theme;
  say($("theme"), isDark() ? "Light" : "Dark");
}

const isDark = () => (state.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

function span(name) {
  state.span = name;
  state.cell = null;
  state.columns = [];
  chosen();
  remember();
  loadHistory();
}

function theme() {
  state.theme = isDark() ? "light" : "dark";
  chosen();
  remember();
  draw();
}

function freeze() {
  state.frozen = !state.frozen;
  $("freeze").setAttribute("aria-pressed", String(state.frozen));
  say($("freeze"), state.frozen ? "Go on" : "Freeze");
  link();
  if (!state.frozen) { loadHistory(); loadWhy(); }
}

// All that is shown, as people paste it into a message.
function text() {
  if (!state.live) return "";
  const { total } = state.live;
  const out = [`Fleetfoot ${state.live.version} at ${location.host}, ${new Date(state.live.at).toISOString()}`, ""];
  for (const one of state.live.notices) out.push(`! ${one.text}`);
  out.push("IS IT FAST?  " + [...$("figures").children].map((at) => `${at.children[0].textContent} ${at.children[1].textContent}`).join("  "), "");
  out.push("WHERE DOES THE TIME GO?");
  for (const band of [state.live.time.middle, state.live.time.tail]) {
    if (band) out.push(`  ${band.name} ${ms(band.ms)}: ` + PHASES.filter((phase) => band.parts[phase]).map((phase) => `${phase} ${ms(band.parts[phase])}`).join(", "));
  }
  out.push("", "WHY IS THE TAIL SLOW?");
  const findings = (state.why && state.why.findings) || [];
  if (!findings.length) out.push(`  ${$("why-none").textContent}`);
  for (const one of findings) out.push(`  ${one.ms ? `+${ms(one.ms)} ` : ""}${one.title || one.cause}: ${one.sentence || ""}`, ...(one.next ? [`    next: ${one.next}`] : []));
  const table = (title, node) => {
    out.push("", title);
    for (const row of node.querySelectorAll("tr")) out.push("  " + [...row.children].map((cell) => cell.textContent.trim()).join(" | "));
  };
  if (total.count || state.live.served) {
    table("ROUTES", $("routes").querySelector("table"));
    if (state.live.jobs) table("JOBS", $("jobs").querySelector("table"));
    table("SERVICES AND SERVERS", $("services").querySelector("table"));
    table("KEPT REQUESTS", $("kept").querySelector("table"));
  }
  out.push("", location.href);
  return out.join("\n").replace(/[\u00a0\u202f]/g, " ") + "\n";
}

async function copy() {
  const all = text();
  try {
    await navigator.clipboard.writeText(all);
  } catch {
    // Without TLS, on another machine's address, browsers have no clipboard for pages.
    const area = el("textarea");
    area.value = all;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  said("Copied.");
}

function said(what) {
  say($("said"), what);
  setTimeout(() => say($("said"), ""), 2000);
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const keys = { 1: () => span("5m"), 2: () => span("1h"), 3: () => span("24h"), f: freeze, c: copy, t: theme, "?": () => $("about").showModal() };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
}

function begin() {
  recall();
  document.addEventListener("keydown", key);
  for (const button of document.querySelectorAll("[data-span]")) button.addEventListener("click", () => span(button.dataset.span));
  for (const button of document.querySelectorAll("[data-sort]")) {
    button.addEventListener("click", () => {
      const { sort } = button.dataset;
      [state.up, state.sort] = [state.sort === sort ? !state.up : sort === "route", sort];
      remember();
      draw();
    });
  }
  $("freeze").addEventListener("click", freeze);
  $("copy").addEventListener("click", copy);
  $("theme").addEventListener("click", theme);
  $("help").addEventListener("click", () => $("about").showModal());
  $("latest").addEventListener("click", () => { state.range = null; kept(); });
  $("one").addEventListener("close", () => { state.request = null; remember(); });
  const map = $("map");
  map.addEventListener("mousemove", point);
  map.addEventListener("mouseleave", () => { state.cell = null; drawMap(); readout(); });
  map.addEventListener("click", (event) => { point(event); if (state.cell) pick(); });
  map.addEventListener("keydown", step);
  window.addEventListener("resize", draw);
  window.addEventListener("hashchange", () => { const before = state.span; recall(); if (before !== state.span) span(state.span); waterfall(); draw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { chosen(); draw(); });
  // Nobody looks: nothing is asked for.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { if (source) source.close(); } else { listen(); loadHistory(); loadWhy(); }
  });
  // The text asks for it already, so that it is here when this is.
  ask("live.json").then((live) => { if (live) take(live); });
  loadHistory();
  loadWhy();
  setInterval(loadWhy, WHY_EVERY);
  listen();
  if (state.request) waterfall();
}

begin();

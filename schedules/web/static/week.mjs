/* The week as a grid that is painted: an addition to the rows of days and times above which it stands
   (below them it would move under the finger when a row is added).

   The rows are the truth. The grid is drawn from them, and painting writes them anew; what they mean, the server works
   out. A week is 7 * 96 quarter hours, each painted or not, and there is no other time here: no dates, no clock changes.
   A row whose times are on no quarter is left as it is, and is not painted. */

const QUARTERS = 96, WEEK = 7 * QUARTERS;
const form = document.querySelector(".rows"), place = document.getElementById("paint");
const blank = document.getElementById("row"), plus = document.getElementById("more-rows");
const days = place.dataset.days.split(","), short = place.dataset.short.split(",");
const wide = matchMedia("(min-width: 44rem)").matches;
const step = wide ? 4 : 8;                           /* quarters of a cell: one hour, or two on a phone */
const quarters = text => { const [h, m] = text.split(":").map(Number); return m % 15 ? NaN : h * 4 + m / 15; };
const clock = q => `${String(Math.floor(q / 4) % 24).padStart(2, "0")}:${String(q % 4 * 15).padStart(2, "0")}`;

/* --- rows -> week */

function rows() { return [...form.querySelectorAll("fieldset[data-row]")]; }
function control(row, name) { return row.querySelector(`[name="${name}${row.dataset.row}"]`); }
function ticks(row) { return [...row.querySelectorAll(`[name="d${row.dataset.row}"]`)]; }
function span(row) {
  if (control(row, "all").checked) return [0, QUARTERS];
  const [from, to] = [quarters(control(row, "from").value), quarters(control(row, "to").value)];
  return from === to || Number.isNaN(from + to) ? null : [from, to > from ? to : to + QUARTERS];
}
function isBlank(row) { return !ticks(row).some(tick => tick.checked) || !(control(row, "all").checked || control(row, "from").value); }
function week() {
  const painted = new Array(WEEK).fill(false);
  for (const row of rows()) {
    const times = span(row);
    if (times) ticks(row).forEach((tick, day) => {
      if (tick.checked) for (let q = times[0]; q < times[1]; q++) painted[(day * QUARTERS + q) % WEEK] = true;
    });
  }
  return painted;
}

/* --- week -> rows: the stretches of each day, a night joined over midnight, and days alike in one row */

function stretches(painted) {
  const found = [];
  for (let day = 0; day < 7; day++) for (let q = 0; q < QUARTERS; q++) {
    const at = day * QUARTERS + q;
    if (!painted[at] || (q && painted[at - 1])) continue;
    let end = q;
    while (end < QUARTERS && painted[day * QUARTERS + end]) end++;
    found.push({ day, from: q, to: end });
  }
  return found;
}
function windows(painted) {
  const all = stretches(painted), isWhole = s => s.from === 0 && s.to === QUARTERS, joined = new Set();
  for (const night of all) {
    const next = all.find(s => s.day === (night.day + 1) % 7 && s.from === 0);
    if (night.to === QUARTERS && !isWhole(night) && next && !isWhole(next) && next !== night && next.to <= night.from) {
      night.over = next.to;
      joined.add(next);
    }
  }
  const alike = new Map();
  for (const s of all) if (!joined.has(s)) {
    const key = `${s.from}-${s.over ?? s.to}`;
    alike.set(key, [...alike.get(key) ?? [], s]);
  }
  return [...alike.values()].map(same => ({ days: same.map(s => s.day), from: same[0].from, to: same[0].over ?? same[0].to }));
}
function write(painted) {
  const wanted = windows(painted), most = Number(form.dataset.most);
  const free = rows().filter(row => span(row) || isBlank(row));
  const kept = rows().length - free.length;
  if (wanted.length + kept > most) return false;
  wanted.forEach((w, i) => fill(free[i] ?? another(), w));
  free.slice(Math.max(wanted.length, 1)).forEach(row => row.dataset.row ? row.remove() : fill(row, null));
  if (!wanted.length && free[0]) fill(free[0], null);
  if (plus) plus.hidden = rows().length >= most;
  return true;
}
function fill(row, w) {
  const whole = w?.from === 0 && w?.to === QUARTERS;
  ticks(row).forEach((tick, day) => { tick.checked = Boolean(w?.days.includes(day)); });
  control(row, "all").checked = whole;
  control(row, "from").value = w && !whole ? clock(w.from) : "";
  control(row, "to").value = w && !whole ? clock(w.to) : "";
}
function another() {
  const used = rows().map(row => row.dataset.row), copy = blank.content.cloneNode(true);
  let number = 2;
  while (used.includes(`_${number}`)) number++;
  copy.querySelectorAll("*").forEach(element => {
    for (const attribute of element.attributes) attribute.value = attribute.value.replace(/_0$/, `_${number}`);
  });
  const row = copy.querySelector("fieldset");
  rows().at(-1).after(row);
  return row;
}

/* --- the grid */

const buttons = [];
let painted = week(), stroke = null, anchor = 0;
function hours(q) { return clock(q).slice(0, 2).replace(/^0(?=\d)/, ""); }
function build() {
  const table = document.createElement("table"), head = table.createTHead().insertRow();
  head.insertCell();
  for (let q = 0; q < QUARTERS; q += 24) {
    const cell = document.createElement("th");
    cell.scope = "colgroup";
    cell.colSpan = 24 / step;
    cell.textContent = q / 4;
    head.append(cell);
  }
  const body = table.createTBody();
  days.forEach((name, day) => {
    const line = body.insertRow(), title = document.createElement("th");
    title.scope = "row";
    title.textContent = short[day];
    line.append(title);
    for (let q = 0; q < QUARTERS; q += step) {
      const button = document.createElement("button");
      button.type = "button";
      button.tabIndex = buttons.length ? -1 : 0;
      buttons.push(button);
      line.insertCell().append(button);
    }
  });
  const title = document.createElement("h2"), help = document.createElement("p");
  title.textContent = place.dataset.title;
  title.id = "h-paint";
  help.textContent = place.dataset.help;
  help.className = "soft";
  place.setAttribute("role", "group");
  place.setAttribute("aria-labelledby", title.id);
  place.append(title, help, table);
  place.hidden = false;
}
const across = QUARTERS / step;
function cell(index) { const day = Math.floor(index / across), q = index % across * step; return { day, q, first: day * QUARTERS + q }; }
function draw() {
  buttons.forEach((button, index) => {
    const { day, q, first } = cell(index), count = painted.slice(first, first + step).filter(Boolean).length;
    const state = count === step ? "rest" : count ? "partly" : "reachable";
    button.setAttribute("aria-pressed", { rest: "true", partly: "mixed", reachable: "false" }[state]);
    button.setAttribute("aria-label", place.dataset[state].replace("{day}", days[day]).replace("{from}", hours(q)).replace("{to}", q + step === QUARTERS ? "24" : hours(q + step)));
  });
}
function paint(from, to, value, base) {
  const [a, b] = [cell(from), cell(to)], next = [...base];
  for (let day = Math.min(a.day, b.day); day <= Math.max(a.day, b.day); day++)
    for (let q = Math.min(a.q, b.q); q < Math.max(a.q, b.q) + step; q++) next[day * QUARTERS + q] = value;
  if (write(next)) { painted = next; draw(); }
}
function isPainted(index) { return buttons[index].getAttribute("aria-pressed") === "true"; }
function focus(index) {
  buttons.forEach(button => { button.tabIndex = -1; });
  buttons[index].tabIndex = 0;
  buttons[index].focus();
}

function listen() {
  let dragged = false;                                           /* the pointer's click that follows is none */
  const indexAt = event => buttons.indexOf(document.elementFromPoint(event.clientX, event.clientY));
  place.addEventListener("pointerdown", event => {
    const index = buttons.indexOf(event.target);
    if (index < 0 || event.button) return;
    stroke = { from: index, value: !isPainted(index), base: painted };
    dragged = false;
    event.target.releasePointerCapture?.(event.pointerId);
    anchor = index;
  });
  place.addEventListener("pointermove", event => {
    const index = stroke ? indexAt(event) : -1;
    if (index >= 0 && (index !== stroke.from || stroke.moved)) { stroke.moved = true; paint(stroke.from, index, stroke.value, stroke.base); }
  });
  addEventListener("pointerup", () => { dragged = Boolean(stroke?.moved); stroke = null; });
  addEventListener("pointercancel", () => { stroke = null; });
  place.addEventListener("click", event => {                     /* a tap, and space and enter of the keyboard */
    const index = buttons.indexOf(event.target);
    const isKeyed = event.detail === 0;                          /* so does what a screen reader presses come */
    if (index >= 0 && (isKeyed || !dragged)) { anchor = index; paint(index, index, !isPainted(index), painted); focus(index); }
  });
  place.addEventListener("keydown", event => {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
    const at = buttons.indexOf(event.target), next = at + (by ?? 0);
    if (by === undefined || at < 0) return;
    event.preventDefault();
    if (!buttons[next] || (Math.abs(by) === 1 && cell(next).day !== cell(at).day)) return;
    if (event.shiftKey) { if (!stroke?.keyed) stroke = { keyed: true, value: isPainted(anchor) || !isPainted(at), base: painted, from: at }; paint(stroke.from, next, stroke.value, stroke.base); }
    else { stroke = null; anchor = next; }
    focus(next);
  });
  place.addEventListener("keyup", event => { if (event.key === "Shift") stroke = null; });
  form.addEventListener("input", event => { if (!place.contains(event.target)) { painted = week(); draw(); } });
}

build();
draw();
listen();

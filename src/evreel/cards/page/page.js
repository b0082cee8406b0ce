// Lists, filters and sorts the recordings of a release. Their data come in scripts that call `list` and
// `details`; text from the data set only ever becomes text, never markup.
"use strict";

const evreel = (() => {
  const FIRST = 24;
  const MORE = 48;
  const told = JSON.parse(document.getElementById("told").textContent);
  const part = (name) => document.getElementById(name);
  const [form, status, list, more] = ["filter", "status", "list", "more"].map(part);
  const fields = Object.fromEntries(["text", "split", "class", "found", "order"].map((name) => [name, part(name)]));

  const recordings = [];
  const waiting = new Map(); // piece of details → what to do when it is there
  let loaded = 0;
  let failed = "";
  let found = [];
  let shown = 0;

  // -- elements and numbers

  function make(name, attributes, ...inside) {
    const svg = ["svg", "g", "rect", "path", "line", "text", "title"].includes(name);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
      else if (key === "style") element.style.cssText = value;
      else if (value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...inside.flat().filter((one) => one !== undefined && one !== ""));
    return element;
  }

  const count = (n) => n.toLocaleString("en-US");
  const counted = (n, what) => `${count(n)} ${what}${n === 1 ? "" : /[xs]$/.test(what) ? "es" : "s"}`;
  const name = (text) => make("bdi", {}, text);
  const address = (path) => path.split("/").map(encodeURIComponent).join("/");

  function rounded(value) {
    for (const [size, prefix] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
      if (value >= size) return Number((value / size).toPrecision(3)) + prefix;
    }
    return String(Number(value.toPrecision(3)));
  }

  function duration(us) {
    for (const [size, unit] of [[3.6e9, "h"], [6e7, "min"], [1e6, "s"], [1e3, "ms"]]) {
      if (us >= size) return `${Number((us / size).toPrecision(4)).toLocaleString("en-US")} ${unit}`;
    }
    return us ? `${us} µs` : "0 s";
  }

  function size(n) { // as evreel.text.size_text
    let unit = "B";
    for (const larger of ["kB", "MB", "GB", "TB", "PB"]) {
      if (n < 999.5) break;
      n /= 1000;
      unit = larger;
    }
    return `${n.toFixed(unit !== "B" && n < 99.95 ? 1 : 0)} ${unit}`;
  }

  function table(head, rows, label, texts) {
    const cell = (kind, scope) => (text) => make(kind, scope ? { scope } : {}, text);
    return make("div", { class: "scrolls", tabindex: 0, role: "region", "aria-label": label },
      make("table", texts ? { class: "texts" } : {},
        make("caption", { class: "unseen" }, label),
        head ? make("thead", {}, make("tr", {}, head.map(cell("th", "col")))) : "",
        make("tbody", {}, rows.map(([first, ...others]) =>
          make("tr", {}, cell("th", "row")(first), others.map(cell("td")))))));
  }

  // -- loading

  function load(path, lost) {
    const script = make("script", { src: path });
    script.addEventListener("error", () => lost(path));
    document.head.append(script);
  }

  function loadList(k) {
    if (k < told.lists.length) load(told.lists[k], (path) => { failed = path; update(); });
  }

  function takeList(k, rows) {
    for (const row of rows) {
      const classes = (row.classes || []).map((k) => told.classes[k]);
      row.n = recordings.length;
      row.splits = [row.split, ...(row.splits || [])];
      row.rate = row.us ? (row.events || 0) / row.us : 0;
      row.words = [row.id, row.group, row.split, row.sensor, ...classes, ...(row.meta || [])].join("\n").toLowerCase();
      recordings.push(row);
    }
    loaded = k + 1;
    // What is on the page stays until all is there, unless somebody searches already.
    if (k === 0 || loaded === told.lists.length || isFiltered()) update();
    else tell();
    setTimeout(loadList, 0, k + 1);
  }

  function takeDetails(k, rows) {
    const first = k * told.detailed;
    rows.forEach((row, i) => { if (recordings[first + i]) recordings[first + i].details = row; });
    for (const act of waiting.get(k) || []) act();
    waiting.delete(k);
  }

  function withDetails(row, act, lost) {
    if (row.details) return act();
    const k = Math.floor(row.n / told.detailed);
    if (waiting.has(k)) return waiting.get(k).push(act);
    waiting.set(k, [act]);
    load(`page/details-${String(k + 1).padStart(4, "0")}.js`, (path) => { waiting.delete(k); lost(path); });
  }

  // -- which recordings, in which order

  const isFiltered = () => Object.entries(fields).some(([name, field]) => field.value !== (name === "order" ? "id" : ""));

  function update() {
    const words = fields.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const { split, found: findings, order } = Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, field.value]));
    const label = fields.class.value === "" ? null : Number(fields.class.value);
    found = recordings.filter((row) =>
      (!split || row.splits.includes(split)) &&
      (label === null || (row.classes || []).includes(label)) &&
      (!findings || Boolean(row.findings) === (findings === "1")) &&
      words.every((word) => row.words.includes(word)));
    if (order !== "id") found.sort((a, b) => (b[order] || 0) - (a[order] || 0) || a.n - b.n);
    list.replaceChildren();
    shown = 0;
    show(FIRST);
  }

  function show(n) {
    const cards = found.slice(shown, shown + n).map(card);
    list.append(...cards);
    shown += cards.length;
    more.hidden = shown >= found.length;
    tell();
    return cards[0];
  }

  function tell() {
    const of = isFiltered() ? `${count(found.length)} of ${counted(told.recordings, "recording")}` : counted(told.recordings, "recording");
    const some = shown < found.length ? `; the first ${count(shown)} are shown` : "";
    const rest = loaded < told.lists.length && !failed ? " (loading…)" : "";
    status.textContent = failed ? `${failed} is missing: this copy of the release is not complete.` : of + some + rest;
  }

  // -- one recording

  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      target.poster = target.dataset.poster;
      seen.unobserve(target);
    }
  }, { rootMargin: "400px" });

  function card(row) {
    const facts = [
      row.us && duration(row.us),
      row.events !== undefined && counted(row.events, "event"),
      row.boxes && counted(row.boxes, "box"),
      row.samples && counted(row.samples, "sample"),
      row.group && `group ${row.group}`,
    ].filter(Boolean);
    const classes = row.classes || [];
    const inside = make("div", { class: "inside" },
      make("h3", { tabindex: -1 }, name(row.id), row.split ? make("span", { class: "chip" }, row.split) : ""),
      make("p", { class: "facts" }, facts.join(" · ")),
      classes.length ? make("ul", { class: "classes", "aria-label": "Classes" },
        classes.slice(0, 6).map((k) => make("li", {}, key(k), name(told.classes[k]))),
        classes.length > 6 ? make("li", {}, `and ${classes.length - 6} more`) : "") : "",
      row.findings ? make("p", { class: "facts doubt" }, counted(row.findings, "finding")) : "");
    const article = make("article", { "aria-label": row.id }, video(row), inside);
    const details = make("details", { on: { toggle: () => {
      article.classList.toggle("open", details.open);
      if (details.open && details.children.length === 1) {
        const place = make("div", {}, "Loading…");
        details.append(place);
        withDetails(row, () => place.replaceWith(detailsOf(row)), (path) => {
          place.textContent = `${path} is missing: this copy of the release is not complete.`;
        });
      }
    } } }, make("summary", {}, "Details", make("span", { class: "unseen" }, ` of ${row.id}`)));
    inside.append(details);
    return article;
  }

  const key = (k) => make("span", { class: "key", style: `background:${colour(k)}` });
  const colour = (k) => (k >= 0 && k < 500 ? `var(--class-${k})` : "var(--muted)");

  function video(row) {
    if (!row.video) return "";
    const element = make("video", {
      src: address(row.video), controls: true, preload: "none", playsinline: true, muted: true, loop: true,
      "aria-label": `Preview of ${row.id}`,
    });
    if (row.poster) {
      element.dataset.poster = address(row.poster);
      seen.observe(element);
    }
    return element;
  }

  function detailsOf(row) {
    const { rate, on, boxes, samples, features, columns, findings, files } = row.details;
    const parts = [];
    const block = (title, ...inside) => parts.push(make("div", {}, make("h4", {}, title), ...inside));
    if (findings) {
      block("Findings", make("ul", {}, findings.map(([severity, check, path, place, problem]) =>
        make("li", {}, make("strong", {}, `${severity}: ${check}`), ": ", name([path, place, problem].filter(Boolean).join(": "))))));
    }
    if (rate && row.us) {
      const mean = (row.events || 0) / row.us * 1e6;
      block("Events per second", curve(rate.map((n) => n / (row.us / rate.length) * 1e6), row.us,
        `Events per second, ${rounded(mean)} on average`),
      make("p", { class: "note" }, `${rounded(mean)} on average; ${row.events ? ((100 * (on || 0)) / row.events).toFixed(1) : 0} % ON`));
    }
    if (boxes) {
      block("Boxes over time", stack(boxes, row.us, `Boxes over time, ${counted(row.boxes || 0, "box")}`),
        table(["Class", "Boxes", "Objects"], boxes.map((of) =>
          [make("span", {}, key(of.class), name(of.name)), count(of.boxes), count(of.tracks)]), "Boxes by class"));
    }
    if (samples) {
      block("Samples", table(["Split", "Class", "Samples"], samples.map(([split, label, n]) =>
        [split, name(label || "none"), count(n)]), "Samples by split and class"));
    }
    if (features) {
      block("Features", table(["Name", "Representation", "Frames", "C × H × W", "Type"], features.map(([feature, kind, n, shape, type]) =>
        [name(feature), kind, count(n), shape, type]), "Features"));
    }
    const known = [["sensor", row.sensor], ["split", row.split], ["group", row.group],
      ["duration", row.us && `${duration(row.us)} (${count(row.us)} µs)`],
      ["annotated", row.labelled && duration(row.labelled)], ...(columns || [])];
    block("About this recording", table(null, known.filter(([, text]) => text).map(([key, text]) => [name(key), name(text)]), "About this recording", true));
    if (files) {
      block("Files", make("ul", {}, files.map(([path, n, withheld]) =>
        make("li", {}, withheld ? name(path) : make("a", { href: address(path) }, name(path)),
          ` ${size(n)}${withheld ? ", not in the recipe" : ""}`))));
    }
    return make("div", { class: "details" }, parts);
  }

  const WIDTH = 440;
  const HEIGHT = 130;
  const LEFT = 46;
  const FLOOR = HEIGHT - 24;

  function axes(most, us, label) {
    const svg = make("svg", { role: "img", viewBox: `0 0 ${WIDTH} ${HEIGHT}` }, make("title", {}, label));
    for (const [share, text] of [[0, "0"], [1, rounded(most)]]) {
      const y = FLOOR - share * (FLOOR - 12);
      svg.append(make("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y, y2: y }),
        make("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, text));
    }
    svg.append(make("text", { x: LEFT, y: HEIGHT - 6 }, "0 s"), make("text", { x: WIDTH, y: HEIGHT - 6, "text-anchor": "end" }, us ? duration(us) : "last box"));
    return svg;
  }

  function curve(values, us, label) {
    const most = Math.max(...values) || 1;
    const step = (WIDTH - LEFT) / values.length;
    const high = (value) => (FLOOR - value / most * (FLOOR - 12)).toFixed(1);
    const path = values.map((value, k) => `V${high(value)}H${(LEFT + (k + 1) * step).toFixed(1)}`).join("");
    const svg = axes(most, us, label);
    svg.append(make("path", { d: `M${LEFT},${FLOOR}${path}V${FLOOR}Z`, style: "fill:var(--accent)" }));
    return svg;
  }

  function stack(boxes, us, label) {
    const n = boxes[0].time.length;
    const sums = Array.from({ length: n }, (_, k) => boxes.reduce((sum, of) => sum + of.time[k], 0));
    const most = Math.max(...sums) || 1;
    const step = (WIDTH - LEFT) / n;
    const svg = axes(most, us, label);
    for (let k = 0; k < n; k++) {
      let y = FLOOR;
      for (const of of boxes) {
        const height = of.time[k] / most * (FLOOR - 12);
        if (!height) continue;
        y -= height;
        svg.append(make("rect", { x: (LEFT + k * step + 0.4).toFixed(1), y: y.toFixed(1), width: (step - 0.8).toFixed(1), height: height.toFixed(1), style: `fill:${colour(of.class)}` }));
      }
    }
    return svg;
  }

  // -- start

  let later = 0;
  function soon() {
    clearTimeout(later);
    later = setTimeout(update, recordings.length > 2000 ? 120 : 0);
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", soon);
  more.addEventListener("click", () => show(MORE).querySelector("h3").focus());
  form.hidden = false;
  tell();
  setTimeout(loadList, 0, 0);
  return { list: takeList, details: takeDetails };
})();

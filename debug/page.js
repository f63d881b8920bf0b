"use strict";
// The page asks for data by fetch, and changes only what has changed. All text goes into
// the document as text, never as HTML: peers and programs control some of it.
(() => {
  const $ = id => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";

  function el(name, attributes, ...children) {
    const e = document.createElement(name);
    for (const [k, v] of Object.entries(attributes || {})) {
      if (k === "class") e.className = v; else e.setAttribute(k, v);
    }
    e.append(...children);
    return e;
  }
  function svg(name, attributes) {
    const e = document.createElementNS(SVG, name);
    for (const [k, v] of Object.entries(attributes || {})) e.setAttribute(k, v);
    return e;
  }
  function text(e, s) { if (e.textContent !== s) e.textContent = s; }
  function classes(e, s) { if (e.className !== s) e.className = s; }
  function width(e, s) { if (e.style.width !== s) e.style.width = s; }

  // Numbers and units.
  function digits(v) { return v >= 100 || v === Math.round(v) ? String(Math.round(v)) : v.toFixed(v >= 10 ? 1 : 2); }
  function scaled(v, base, units) {
    let i = 0;
    while (Math.abs(v) >= base && i < units.length - 1) { v /= base; i++; }
    return digits(v) + units[i];
  }
  const unknown = f => v => v === undefined || v === null || v < 0 ? "–" : f(v);
  const count = unknown(v => v < 10000 ? digits(v) : scaled(v, 1000, ["", " k", " M", " G"]));
  const bytes = unknown(v => scaled(v, 1000, [" B", " kB", " MB", " GB", " TB"]));
  const rate = v => bytes(v) + "/s";
  const span = unknown(ms => {
    if (ms === 0) return "0";
    if (ms < 1) return digits(ms * 1000) + " µs";
    if (ms < 1000) return digits(ms) + " ms";
    const s = ms / 1000;
    if (s < 60) return digits(s) + " s";
    if (s < 3600) return Math.floor(s / 60) + " min " + Math.floor(s % 60) + " s";
    if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min";
    return Math.floor(s / 86400) + " d " + Math.floor(s % 86400 / 3600) + " h";
  });
  const nanos = ns => ns > 0 && ns < 1000 ? Math.round(ns) + " ns" : span(ns / 1e6);
  const percent = v => (v * 100 < 10 && v > 0 ? (v * 100).toFixed(1) : Math.round(v * 100)) + " %";

  // patch makes the children of a parent show the rows: it keeps an element as long as
  // the key of its row stays, and moves no element that is in its place.
  function patch(parent, rows, key, make, fill) {
    const focused = document.activeElement;
    const have = new Map();
    for (const e of [...parent.children]) have.set(e.dataset.key, e);
    const used = new Set(rows.map(r => String(key(r))));
    for (const [k, e] of have) if (!used.has(k)) e.remove();
    let at = parent.firstElementChild;
    for (const row of rows) {
      const k = String(key(row));
      let e = have.get(k);
      if (!e) { e = make(row); e.dataset.key = k; }
      fill(e, row);
      if (e === at) at = at.nextElementSibling; else parent.insertBefore(e, at);
    }
    if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({preventScroll: true});
  }

  // A Chart draws series over the same times, the newest at the right.
  class Chart {
    constructor(figure, format, least) {
      this.figure = figure; this.format = format; this.least = least; // of the scale's top
      this.svg = svg("svg", {role: "img"});
      this.legend = el("div", {class: "legend"});
      figure.append(this.svg, this.legend);
      this.lines = []; this.series = [];
      this.svg.addEventListener("pointermove", e => this.point(e.clientX, e.clientY));
      this.svg.addEventListener("pointerdown", e => this.point(e.clientX, e.clientY));
      this.svg.addEventListener("pointerleave", () => { this.at = null; $("tip").hidden = true; this.draw(); });
    }
    set(series, slots, every) {
      this.series = series; this.slots = slots; this.every = every;
      this.draw();
      if (this.at) this.point(...this.at);
    }
    draw() {
      const w = this.svg.clientWidth, h = this.svg.clientHeight;
      if (!w || !this.slots) return;
      const top = 10, bottom = h - 20;
      let peak = 0;
      for (const s of this.series) for (const v of s.values) if (v > peak) peak = v;
      const most = nice(Math.max(peak, this.least));
      const labels = [most, most / 2, 0].map(v => this.format(v));
      const left = Math.max(...labels.map(l => l.length)) * 6.4 + 8, right = w - 6;
      this.x = i => right - (this.slots - 1 - i) * (right - left) / Math.max(this.slots - 1, 1);
      this.y = v => bottom - Math.min(v / most, 1) * (bottom - top);
      this.left = left; this.right = right;
      const parts = [];
      [most, most / 2, 0].forEach((v, i) => {
        parts.push(svg("line", {class: "grid", x1: left, x2: right, y1: this.y(v), y2: this.y(v)}));
        const t = svg("text", {x: left - 6, y: this.y(v) + 4, "text-anchor": "end"});
        t.textContent = labels[i];
        parts.push(t);
      });
      const past = svg("text", {x: left, y: h - 4}), now = svg("text", {x: right, y: h - 4, "text-anchor": "end"});
      past.textContent = "−" + span(this.slots * this.every).replace(/ 0 s$/, "");
      now.textContent = "now";
      parts.push(past, now);
      const many = this.series.length > 8;
      this.series.forEach((s, n) => {
        const first = this.slots - s.values.length;
        const d = s.values.map((v, i) => (i ? "L" : "M") + this.x(first + i).toFixed(1) + " " + this.y(v).toFixed(1)).join("");
        const color = s.color = many ? "var(--s0)" : `var(--s${n % 8})`;
        if (this.series.length <= 2 && s.values.length > 1) {
          const area = svg("path", {class: "area", d: d + `L${right} ${bottom}L${this.x(first).toFixed(1)} ${bottom}Z`});
          area.style.fill = color;
          parts.push(area);
        }
        const p = svg("path", {d});
        p.style.stroke = color;
        if (many) p.style.opacity = .45;
        parts.push(p);
      });
      if (this.cursor !== undefined && this.at) {
        const x = this.x(this.cursor);
        parts.push(svg("line", {class: "cursor", x1: x, x2: x, y1: top, y2: bottom}));
      }
      this.svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
      this.svg.replaceChildren(...parts);
      this.svg.setAttribute("aria-label", this.figure.firstElementChild.textContent + ": " +
        this.series.map(s => s.name + " " + this.format(s.values.at(-1) ?? 0)).join(", "));
      patch(this.legend, many ? [{name: this.series.length + " loops", values: []}] : this.series, s => s.name,
        () => el("span", {}, el("i"), el("span")),
        (e, s) => {
          e.firstChild.style.background = s.color || "var(--s0)";
          text(e.lastChild, s.name + (s.values.length ? " " + this.format(s.values.at(-1)) : ""));
        });
    }
    point(clientX, clientY) {
      const box = this.svg.getBoundingClientRect();
      const i = Math.round((clientX - box.left - this.left) / (this.right - this.left) * (this.slots - 1));
      this.cursor = Math.max(0, Math.min(this.slots - 1, i));
      this.at = [clientX, clientY];
      this.draw();
      const ago = (this.slots - 1 - this.cursor) * this.every;
      const rows = this.series.map(s => ({name: s.name, color: s.color, v: s.values[this.cursor - this.slots + s.values.length]}))
        .filter(r => r.v !== undefined).sort((a, b) => b.v - a.v).slice(0, 10);
      const tip = $("tip");
      tip.replaceChildren(el("div", {}, ago ? span(ago) + " ago" : "now"), ...rows.map(r => {
        const mark = el("i");
        mark.style.background = r.color;
        return el("div", {}, mark, r.name, el("b", {}, this.format(r.v)));
      }));
      tip.hidden = false;
      tip.style.left = Math.min(clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
      tip.style.top = Math.max(8, clientY - tip.offsetHeight - 12) + "px";
    }
  }
  function nice(v) {
    const unit = Math.pow(10, Math.floor(Math.log10(v)));
    return [1, 2, 5, 10].find(n => n * unit >= v * .999) * unit;
  }

  // What the page knows.
  const history = new Map(); // points by kind and name
  let samples = null, overview = null, limit = 200, paused = false, timer = 0, running = false, again = false;

  // The place is in the address, so that a reload and a bookmark keep it.
  const place = {sort: "", filter: "", server: "", conn: "", of: ""};
  function readPlace() {
    const p = new URLSearchParams(location.hash.slice(1));
    for (const k of Object.keys(place)) place[k] = p.get(k) || "";
    if (document.activeElement !== $("filter")) $("filter").value = place.filter;
  }
  function hashOf(changes) {
    const p = new URLSearchParams();
    for (const [k, v] of Object.entries({...place, ...changes})) if (v) p.set(k, v);
    return "#" + p;
  }
  function writePlace(changes) {
    window.history.replaceState(null, "", hashOf(changes));
    Object.assign(place, changes);
  }

  async function get(parameters) {
    const answer = await fetch(location.pathname + "?" + new URLSearchParams(parameters), {cache: "no-store"});
    if (answer.status === 404) return null;
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.json();
  }

  // The table of connections.
  const columns = [
    ["peer", "peer", 0], ["state", "state", 0], ["age", "age", 1], ["idle", "idle", 1], ["in", "received", 1], ["out", "sent", 1],
    ["queued", "queued", 1], ["rtt", "RTT", 1], ["retrans", "retransmits", 1], ["cwnd", "cwnd", 1], ["local", "local", 0], ["loop", "loop", 1],
  ];
  for (const [key, name, number] of columns) {
    const button = el("button", {type: "button"}, name);
    const th = el("th", {class: number ? "n" : "", scope: "col"}, button);
    button.addEventListener("click", () => {
      // The first click on a number sorts the greatest to the top.
      const order = number ? ["-" + key, key, ""] : [key, "-" + key, ""];
      writePlace({sort: order[(order.indexOf(place.sort) + 1) % 3]});
      refresh();
    });
    th.dataset.column = key;
    $("conns").tHead.rows[0].append(th);
  }
  function showConns(list) {
    for (const th of $("conns").tHead.rows[0].cells) {
      const key = th.dataset.column;
      th.setAttribute("aria-sort", place.sort === key ? "ascending" : place.sort === "-" + key ? "descending" : "none");
    }
    const conns = list.Conns || [];
    let note = `${count(list.Total)} open`;
    if (place.filter) note += `, ${count(list.Found)} match`;
    if (conns.length < list.Found) note += `, ${count(conns.length)} shown`;
    if (list.Seen < list.Total) note += `, ${count(list.Seen)} looked at`;
    text($("found"), note);
    $("more").hidden = conns.length >= list.Found || conns.length >= 1000;
    const body = $("conns").tBodies[0];
    if (!conns.length) {
      patch(body, [0], () => "none", () => el("tr", {}, el("td", {class: "none", colspan: columns.length})),
        e => text(e.firstChild, place.filter ? "No connection matches." : "No connection is open."));
      return;
    }
    patch(body, conns, c => c.Server + " " + c.ID, c => {
      const tr = el("tr");
      for (const [, , number] of columns) tr.append(el("td", {class: number ? "n" : ""}));
      tr.cells[0].append(el("a"));
      tr.cells[1].append(el("span"));
      return tr;
    }, (tr, c) => {
      const cells = tr.cells, link = cells[0].firstChild, state = cells[1].firstChild;
      text(link, c.Peer || "unix");
      const href = hashOf({conn: c.ID, of: c.Server});
      if (link.getAttribute("href") !== href) link.setAttribute("href", href);
      text(state, c.State); classes(state, "state " + c.State);
      [span(c.Age), span(c.Idle), bytes(c.In), bytes(c.Out), bytes(c.Queued), span(c.RTT), count(c.Retransmits), count(c.Cwnd),
        c.Local, String(c.Loop)].forEach((s, i) => text(cells[i + 2], s));
    });
  }

  // Servers, loops and stalls.
  function remember(kind, rows, news) {
    for (const row of rows || []) {
      const key = kind + row.Name, old = history.get(key) || [];
      history.set(key, old.concat(row.Points || []).slice(-news));
    }
  }
  const values = (kind, name, i) => (history.get(kind + name) || []).map(p => p[i]);
  const charts = {
    load: new Chart($("c-load"), percent, .1), call: new Chart($("c-call"), nanos, 1000),
    conns: new Chart($("c-conns"), count, 10), bytes: new Chart($("c-bytes"), rate, 1000),
  };
  function showOverview(o) {
    if (samples === null || o.Samples < samples || overview && o.PID !== overview.PID) history.clear();
    samples = o.Samples; overview = o;
    remember("loop ", o.Loops, o.Keep);
    remember("server ", o.Servers, o.Keep);
    text($("program"), `${o.Program}, process ${o.PID}, ${o.Go}, watched for ${span(Math.floor(o.Uptime / 1000) * 1000)}`);
    document.title = o.Program + " · Weir";
    const loops = o.Loops || [], servers = o.Servers || [];
    text($("span"), `${loops.length}, the last ${span(o.Keep * o.Every).replace(/ 0 s$/, "")}`);

    patch($("servers"), servers, s => s.Name, () => el("div", {class: "server"}, el("h2", {}, el("span"), el("small")), el("dl", {class: "tiles"})), (e, s) => {
      text(e.firstChild.firstChild, s.Name);
      text(e.firstChild.lastChild, (s.Listeners || []).map(l => l.Addr + (l.Resting ? " (accepting pauses)" : "")).join("  ") || "no listener for connections");
      const last = values("server ", s.Name, 0).length ? history.get("server " + s.Name).at(-1) : [s.Conns, 0, 0, 0];
      const ended = s.Sessions ? ", ended sessions" : " in all";
      const tiles = [
        ["Connections", count(s.Conns), s.Full ? `waited for room ${count(s.Full)}×` : ""],
        ["Begun", count(last[1]) + "/s", `${count(s.Accepted + s.Dialed + s.Attached)} in all`],
        ["Received", rate(last[2]), bytes(s.BytesIn) + ended],
        ["Sent", rate(last[3]), bytes(s.BytesOut) + ended],
        ["Stalls", s.Watchdog ? count(s.Stalls) : "–", s.Watchdog ? (s.Stalls ? "longest " + span(s.LongestStall) : "") : "no watchdog", s.Stalls],
        ["Panics", count(s.Panics), "", s.Panics],
        ["Refused", count(s.Refused), s.Pauses ? `${count(s.Pauses)} pauses` : "", s.Pauses],
      ];
      if (s.PacketsIn + s.PacketsOut) tiles.push(["Datagrams", count(s.PacketsIn), count(s.PacketsOut) + " sent"]);
      patch(e.lastChild, tiles, t => t[0], t => el("div", {}, el("dt", {}, t[0]), el("dd", {}, el("span"), el("small"))), (div, t) => {
        text(div.lastChild.firstChild, t[1]);
        text(div.lastChild.lastChild, t[2]);
        classes(div.lastChild, t[3] ? "alarm" : "");
      });
    });
    patch($("server"), [{Name: ""}, ...servers], s => s.Name, s => el("option", {value: s.Name}, s.Name || "all servers"), () => {});
    $("server").value = place.server;
    $("server").hidden = servers.length < 2;

    const slots = o.Keep;
    const ofLoops = i => loops.map(l => ({name: l.Name, values: values("loop ", l.Name, i)}));
    charts.load.set(ofLoops(0), slots, o.Every);
    charts.call.set(ofLoops(3), slots, o.Every);
    charts.conns.set(servers.map(s => ({name: s.Name, values: values("server ", s.Name, 0)})), slots, o.Every);
    const sum = i => servers.reduce((all, s) => {
      const v = values("server ", s.Name, i), n = Math.max(all.length, v.length);
      return Array.from({length: n}, (_, k) => (all[k - n + all.length] || 0) + (v[k - n + v.length] || 0));
    }, []);
    charts.bytes.set([{name: "received", values: sum(2)}, {name: "sent", values: sum(3)}], slots, o.Every);

    patch($("loops").tBodies[0], loops, l => l.Name, () => {
      const tr = el("tr");
      for (let i = 0; i < 10; i++) tr.append(el("td", {class: i ? "n" : ""}));
      tr.cells[0].append(el("span"), " ", el("span", {class: "state held", hidden: ""}));
      tr.cells[1].append(el("span", {class: "bar"}, el("i")), el("span"));
      return tr;
    }, (tr, l) => {
      const c = tr.cells, last = (history.get("loop " + l.Name) || []).at(-1) || [0, 0, 0, 0];
      text(c[0].firstChild, l.Name);
      c[0].lastChild.hidden = !l.Held;
      if (l.Held) text(c[0].lastChild, "held up");
      width(c[1].firstChild.firstChild, Math.round(last[0] * 100) + "%");
      classes(c[1].firstChild, last[0] > .9 ? "bar hot" : "bar");
      text(c[1].lastChild, percent(last[0]));
      [count(last[1]), l.Batch ? l.Batch.toFixed(1) : "–", `${nanos(l.CallP50)} / ${nanos(l.CallP99)} / ${nanos(l.CallMax)}`,
        nanos(l.LateP99), count(l.Timers), `${count(l.Queued)} / ${count(l.Backlog)}`,
        l.Polls ? percent((l.Polls - l.VainPolls) / l.Polls) : "–", count(l.Registered)].forEach((s, i) => text(c[i + 2], s));
    });

    const stalls = servers.flatMap(s => (s.StallList || []).map(x => ({...x, Name: s.Name}))).sort((a, b) => b.Began - a.Began);
    const watched = servers.some(s => s.Watchdog);
    text($("stallnote"), stalls.length ? "the last ones" : "");
    patch($("stalls"), stalls.length ? stalls : [null], x => x ? x.Name + x.Loop + x.Began : "none", x => {
      if (!x) return el("p", {class: "empty"});
      const frames = x.Stack.split(" < ").map(f => {
        const at = f.lastIndexOf(" (");
        return at < 0 ? el("li", {}, f) : el("li", {}, f.slice(0, at), el("span", {}, f.slice(at)));
      });
      return el("details", {class: "stall"}, el("summary", {}, el("b"), el("span"), el("span"), el("code", {}, frames.map(f => f.firstChild.textContent)
        .find(f => !/^(runtime|time|sync|syscall|internal|os|net|poll|unix|loop|server|poller)\./.test(f)) || x.Stack.split(" < ")[0])), el("ol", {}, ...frames));
    }, (e, x) => {
      if (!x) { text(e, watched ? "No callback has held up a loop." : "The server has no watchdog: Server.StallAfter turns it on."); return; }
      classes(e, x.Over ? "stall" : "stall now");
      const s = e.firstChild.children;
      text(s[0], span(x.For));
      text(s[1], `${x.Name}/${x.Loop}`);
      text(s[2], x.Over ? new Date(x.Began).toLocaleTimeString() : "now");
    });
  }

  // A connection's own page.
  const ones = {
    bytes: new Chart($("o-bytes"), rate, 1000), rtt: new Chart($("o-rtt"), span, .01),
    cwnd: new Chart($("o-cwnd"), count, 10), queue: new Chart($("o-queue"), bytes, 1000),
  };
  let one = null; // what was seen of the connection
  function facts(dl, pairs) {
    patch(dl, pairs, p => p[0], p => el("div", {}, el("dt", {}, p[0]), el("dd")), (e, p) => text(e.lastChild, p[1]));
  }
  function showOne(c) {
    const key = place.of + " " + place.conn;
    if (!one || one.key !== key) one = {key, at: 0, last: null, points: []};
    $("gone").hidden = !!c;
    if (!c) { if (!one.last) { text($("peer"), "connection " + place.conn); facts($("facts"), []); facts($("tcp"), []); } return; }
    const now = performance.now(), took = (now - one.at) / 1000, t = c.TCP;
    if (one.last && c.In >= 0 && took > 0) {
      one.points.push([Math.max(0, c.In - one.last.In) / took, Math.max(0, c.Out - one.last.Out) / took, Math.max(0, c.RTT), Math.max(0, c.Cwnd), c.Queued]);
      if (one.points.length > 300) one.points.shift();
    }
    one.at = now; one.last = c;
    text($("peer"), c.Peer || "unix");
    document.title = (c.Peer || "unix") + " · Weir";
    facts($("facts"), [
      ["State", c.State], ["Served by", c.Session ? "Handler" : "Events"], ["Server", c.Server], ["Local", c.Local || "–"], ["Loop", String(c.Loop)],
      ["Age", span(c.Age)], ["Idle", span(c.Idle)], ["Received", bytes(c.In)], ["Sent", bytes(c.Out)], ["Queued", bytes(c.Queued)], ["ID", c.ID],
    ]);
    const at = i => one.points.map(p => p[i]), slots = Math.max(60, one.points.length), every = overview ? overview.Every : 1000;
    ones.bytes.set([{name: "received", values: at(0)}, {name: "sent", values: at(1)}], slots, every);
    ones.rtt.set([{name: "RTT", values: at(2)}], slots, every);
    ones.cwnd.set([{name: "cwnd", values: at(3)}], slots, every);
    ones.queue.set([{name: "queued", values: at(4)}], slots, every);
    facts($("tcp"), t ? [
      ["State", t.State], ["RTT", span(t.RTT)], ["RTT varies by", span(t.RTTVar)], ["Shortest RTT", span(t.MinRTT)], ["Retransmission timeout", span(t.RTO)],
      ["Retransmits", count(t.Retransmits)], ["Lost", count(t.Lost)], ["On their way", count(t.Unacked) + " segments"], ["Unsent", bytes(t.Unsent)],
      ["Congestion window", count(t.Cwnd) + " segments"], ["Slow-start threshold", t.SSThresh > 1e9 ? "none" : count(t.SSThresh) + " segments"],
      ["Segment", bytes(t.MSS)], ["Peer's window", bytes(t.PeerWindow)], ["Delivery rate", rate(t.DeliveryRate)], ["Pacing rate", t.PacingRate > 1e18 ? "none" : rate(t.PacingRate)],
      ["Busy", span(t.BusyTime)], ["Peer had no room", span(t.PeerLimited)], ["Send buffer full", span(t.BufferLimited)],
    ] : [["TCP", "not a TCP connection"]]);
  }

  // refresh asks for what is shown. A call during another one has it run once more.
  async function refresh() {
    if (running) { again = true; return; }
    running = true;
    clearTimeout(timer);
    do {
      again = false;
      try {
        const single = !!place.conn;
        if (!single && !$("all").hidden || overview === null) {
          const o = await get(samples === null ? {data: "overview"} : {data: "overview", since: samples});
          if (o) showOverview(o);
        }
        if (single) {
          const c = await get({data: "conn", server: place.of, id: place.conn});
          if (place.conn) showOne(c);
        } else {
          const list = await get({data: "conns", sort: place.sort, filter: place.filter, server: place.server, limit});
          if (list && !place.conn) showConns(list);
        }
        status();
      } catch (e) {
        status("not reachable");
      }
    } while (again);
    running = false;
    document.documentElement.dataset.refreshes = Number(document.documentElement.dataset.refreshes || 0) + 1;
    if (!paused) timer = setTimeout(refresh, overview ? overview.Every : 1000);
  }
  function status(problem) {
    const b = $("pause");
    b.className = problem ? "lost" : paused ? "paused" : "";
    b.setAttribute("aria-pressed", String(paused));
    text(b.lastChild, problem || (paused ? "paused" : "live"));
  }
  let scrolled = 0;
  function navigate() {
    const was = place.conn;
    readPlace();
    if (!was && place.conn) scrolled = scrollY;
    $("all").hidden = !!place.conn;
    $("one").hidden = !place.conn;
    $("back").setAttribute("href", hashOf({conn: "", of: ""}));
    $("tip").hidden = true;
    if (was !== place.conn) scrollTo(0, place.conn ? 0 : scrolled);
    refresh();
  }
  $("pause").addEventListener("click", () => { paused = !paused; clearTimeout(timer); status(); if (!paused) refresh(); });
  $("filter").addEventListener("input", () => { writePlace({filter: $("filter").value}); refresh(); });
  $("tools").addEventListener("submit", e => e.preventDefault());
  $("server").addEventListener("change", () => { writePlace({server: $("server").value}); refresh(); });
  $("more").firstChild.addEventListener("click", () => { limit = Math.min(limit * 2, 1000); refresh(); });
  addEventListener("hashchange", navigate);
  addEventListener("resize", () => { for (const c of [...Object.values(charts), ...Object.values(ones)]) c.draw(); });
  document.addEventListener("visibilitychange", () => { clearTimeout(timer); if (!document.hidden && !paused) refresh(); });
  navigate();
})();

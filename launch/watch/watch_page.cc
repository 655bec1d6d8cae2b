#include "launch/watch/watch_page.h"

#include "launch/report/html.h"
#include "launch/report/page.h"

namespace cohort {
namespace {

// Beside the report's (launch/report/page_style.cc).
constexpr const char* kStyle = R"css(
header{display:block}
.bar-line{display:flex;flex-wrap:wrap;gap:8px 14px;align-items:center;margin:10px 0}
.bar-line nav{display:flex;flex-wrap:wrap;gap:4px 14px;flex:1 1 auto}
a{color:var(--c0);padding:4px 0}
button{font:inherit;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:5px 14px;cursor:pointer}
:focus-visible{outline:3px solid var(--c1);outline-offset:2px}
progress{width:100%;height:10px;accent-color:var(--c0)}
.running,.starting{color:var(--c0)}.silent{color:var(--c4)}.died{color:var(--bad)}
.banner{border:1.5px solid var(--bad);border-radius:8px;padding:8px 12px;max-width:none;overflow-wrap:anywhere}
figure{position:relative}figcaption{display:flex;justify-content:space-between;gap:8px;flex-wrap:wrap}
figcaption b{font-weight:650}figcaption span{color:var(--soft);font-weight:400;white-space:nowrap}
.cursor{stroke:var(--ink);stroke-opacity:.5}
.bad{color:var(--bad)}.good{color:var(--good)}.warn{color:var(--c4)}
ul.events{list-style:none;margin:8px 0;padding:0;font-size:.9rem}
ul.events li{display:grid;grid-template-columns:5.2rem 6.2rem minmax(0,1fr);gap:0 10px;padding:6px 0;border-bottom:1px solid var(--grid);
overflow-wrap:anywhere}
ul.events time{color:var(--soft)}
@media (max-width:520px){ul.events li{grid-template-columns:5.2rem minmax(0,1fr)}ul.events li span:last-child{grid-column:1/-1}}
pre{white-space:pre-wrap;overflow-wrap:anywhere;max-height:32rem}
[hidden]{display:none!important}
)css";

constexpr const char* kBody = R"html(
<header>
<h1><span id="name"></span><span id="stage" class="status" role="status">reading</span></h1>
<p id="line" class="soft"></p>
<p id="reason" class="banner" hidden></p>
<p id="lost" class="banner" role="alert" hidden></p>
<div id="notes"></div>
<progress id="progress" max="1" value="0" aria-label="Share of the phase's rows that are done"></progress>
<div class="bar-line"><nav aria-label="Sections"><a href="#losses">Losses</a><a href="#metrics">Metrics</a><a href="#speed">Speed</a>
<a href="#workers">Workers</a><a href="#shards">Shards</a><a href="#events">Faults</a><a href="#hang">Hang report</a>
<a href="#result">Result</a></nav><button id="pause" type="button" aria-pressed="false">Pause</button></div>
</header>
<noscript><p class="banner">This page draws itself with a script. Without one: <code>cohort top</code> shows the same in a terminal,
<code>cohort report</code> writes a page about a run that is over.</p></noscript>
<div id="tiles" class="tiles"></div>
<section id="losses"><h2>Losses</h2>
<p class="soft">Training: mean over about a second. Below, a metric of the valid split by epoch.
Arrow keys or the pointer read a chart.</p>
<div class="charts" id="loss-charts"></div><div class="charts" id="valid-charts"></div></section>
<section id="metrics"><h2>Metrics</h2><p class="soft" id="no-metrics">No split has been evaluated yet.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Metrics of each task and split" hidden><table id="metric-table"></table></div></section>
<section id="speed"><h2>Speed</h2><div class="charts" id="speed-charts"></div></section>
<section id="workers"><h2>Workers</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Workers"><table id="worker-table"></table></div>
<div class="charts" id="worker-charts"></div></section>
<section id="shards"><h2>Shards</h2><p class="soft">Memory and load (cores busy) are those of the server process, which its shards and
backups share.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Shards and backups"><table id="shard-table"></table></div>
<div class="charts" id="shard-charts"></div></section>
<section id="events"><h2>Checkpoints, faults and recoveries</h2><p class="soft" id="on-disk"></p>
<div class="tiles" id="recovery-tiles"></div><ul class="events" id="event-list"></ul>
<details><summary>All that the run has said</summary><ul class="events" id="log-list"></ul></details></section>
<section id="hang"><h2>Hang report</h2><p class="soft" id="no-hang">No deadline has been missed.</p>
<pre id="hang-text" tabindex="0" role="region" aria-label="Newest page of hang_report.md" hidden></pre></section>
<section id="result"><h2>Result</h2><p class="soft" id="no-result">The run is not over.</p>
<details id="result-details" hidden open><summary>Numbers of result.json</summary><div class="scroll" tabindex="0" role="region"
aria-label="Numbers of result.json"><table id="result-table"></table></div></details></section>
)html";

constexpr const char* kScript = R"js(
'use strict';
const $ = id => document.getElementById(id);
const token = new URLSearchParams(location.search).get('token') || '';
const known = v => typeof v === 'number' && isFinite(v);
const dash = '–';
const count = v => known(v) ? Math.round(v).toLocaleString('en-US') : dash;
const short = v => { if (!known(v)) return dash;
  for (const [unit, name] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']])
    if (Math.abs(v) >= unit) return +(v / unit).toPrecision(3) + name;
  return String(+v.toPrecision(3)); };
const metric = v => { if (!known(v)) return dash; const size = Math.abs(v);
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return v.toExponential(3);
  return v.toFixed(size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4); };
const bytes = v => { if (!known(v)) return dash; let unit = 0;
  while (Math.abs(v) >= 1024 && unit < 4) { v /= 1024; unit++; }
  return v.toFixed(unit === 0 || v >= 100 ? 0 : 1) + ' ' + ['B', 'KiB', 'MiB', 'GiB', 'TiB'][unit]; };
const two = v => String(v).padStart(2, '0');
const duration = v => { if (!known(v)) return dash; if (v < 100) return v.toFixed(1) + ' s'; const s = Math.round(v);
  return s < 3600 ? Math.floor(s / 60) + ' min ' + two(s % 60) + ' s' : Math.floor(s / 3600) + ' h ' + two(Math.floor(s % 3600 / 60)) + ' min'; };
const cores = v => known(v) ? v.toFixed(2) : dash;
const words = name => name.replaceAll('_', ' ');
const number = (name, v) => name.includes('bytes') ? bytes(v) : Number.isInteger(v) ? count(v) : metric(v);

// Text is only ever set as text: nothing that a file says can become markup.
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) if (value !== undefined) node.setAttribute(name, value);
  node.append(...children.map(child => child instanceof Node ? child : String(child)));
  return node;
}
function say(node, text) { if (node.textContent !== text) node.textContent = text; }
function show(node, visible) { node.hidden = !visible; }
// What has not changed stays, so that a selection and the place in a list do, too.
const drawn = new Map();
function redraw(node, content, make) {
  const key = JSON.stringify(content);
  if (drawn.get(node) === key) return;
  drawn.set(node, key);
  node.replaceChildren(...make(content));
}
function tiles(node, list) {
  redraw(node, list, all => all.map(([label, text, name]) =>
    el('div', {class: 'tile'}, el('b', {'data-name': name}, text), el('span', {}, label))));
}
// A cell is a text, or {text, name, share (of a bar), mark (classes)}; a head a text, or {left: text} above texts.
function table(node, head, rows) {
  redraw(node, [head, rows], () => {
    const cell = c => { if (typeof c === 'string') return el('td', {}, c);
      const td = el('td', {class: c.mark, 'data-name': c.name});
      if (known(c.share)) { const i = el('i'); i.style.width = Math.round(100 * Math.min(1, c.share)) + '%';
        td.append(el('span', {class: 'meter wide', 'aria-hidden': 'true'}, i)); }
      td.append(c.text); return td; };
    return [el('thead', {}, el('tr', {}, ...head.map(h => el('th', {scope: 'col', class: h.left ? 'left' : undefined}, h.left || h)))),
      el('tbody', {}, ...rows.map(row => el('tr', {}, el('th', {scope: 'row'}, row[0]), ...row.slice(1).map(cell))))];
  });
}

// Charts: as the report draws them (launch/report/chart.cc), and a cursor that pointer and arrow keys move.
const W = 310, H = 190, TOP = 10, BOTTOM = 32, RIGHT = 12;
function ticksOf(low, high, most) {
  const raw = (high - low) / most, unit = 10 ** Math.floor(Math.log10(raw));
  const step = unit * [1, 2, 5, 10].find(f => f * unit >= raw * 0.999);
  const list = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) list.push(+(i * step).toPrecision(12));
  return list;
}
const xml = text => text.replace(/[&<>"]/g, c => '&#' + c.charCodeAt(0) + ';');
const charts = new Map();
class Chart {
  constructor(parent, title) {
    this.at = null;
    this.title = title;
    this.value = el('span');
    this.drawing = el('div');
    this.legend = el('p', {class: 'legend'});
    this.figure = el('figure', {tabindex: '0'}, el('figcaption', {}, el('b', {}, title), this.value), this.drawing, this.legend);
    parent.append(this.figure);
    this.figure.addEventListener('keydown', event => this.key(event));
    this.figure.addEventListener('blur', () => this.move(null));
    this.drawing.addEventListener('pointermove', event => {
      const box = this.drawing.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * W;
      let best = 0;
      this.xs.forEach((v, i) => { if (Math.abs(this.X(v) - x) < Math.abs(this.X(this.xs[best]) - x)) best = i; });
      this.move(best);
    });
    this.drawing.addEventListener('pointerleave', () => this.move(null));
  }
  key(event) {
    const last = this.xs.length - 1, at = this.at === null ? last : this.at;
    const to = {ArrowLeft: Math.max(0, at - 1), ArrowRight: Math.min(last, at + 1), Home: 0, End: last, Escape: null}[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.move(to);
  }
  move(at) { this.at = at; this.draw(); }
  update(xs, series, options) {
    Object.assign(this, {xs, series, options});
    if (this.at !== null && this.at >= xs.length) this.at = null;
    this.draw();
  }
  X(v) { return this.left + (v - this.low) / (this.high - this.low) * (W - RIGHT - this.left); }
  draw() {
    const {xs, series, options} = this, at = this.at === null ? xs.length - 1 : this.at;
    let low = options.zero ? 0 : Infinity, high = -Infinity;
    for (const s of series) for (const y of s.ys) if (known(y)) { low = Math.min(low, y); high = Math.max(high, y); }
    if (!(high > low)) { if (!known(low) || !known(high)) { low = 0; high = 1; } else { high = low + (Math.abs(low) || 1); } }
    const binary = options.format === bytes ? 1024 ** Math.max(0, Math.floor(Math.log2(Math.max(1, high)) / 10)) : 1;
    const step = ticksOf(low / binary, high / binary, 4).map(v => v * binary), gap = step.length > 1 ? step[1] - step[0] : high - low;
    if (step[step.length - 1] < high - 1e-9 * gap) { step.push(+(step[step.length - 1] + gap).toPrecision(12)); }
    high = Math.max(high, step[step.length - 1]);
    if (!options.zero && step[0] > low + 1e-9 * gap) { step.unshift(+(step[0] - gap).toPrecision(12)); low = step[0]; }
    const label = v => options.format === bytes ? bytes(v).replace('.0', '') : Math.abs(v) >= 10000 ? short(v) : String(+v.toPrecision(4));
    this.low = xs[0]; this.high = Math.max(xs[xs.length - 1], xs[0] + (options.epochs ? 1 : 1e-3));
    this.left = 12 + 6.2 * Math.max(...step.map(v => label(v).length));
    const Y = v => H - BOTTOM - (v - low) / (high - low) * (H - TOP - BOTTOM);
    let svg = `<svg class="chart" viewBox="0 0 ${W} ${H}" aria-hidden="true">`;
    for (const v of step) svg += `<line class="grid" x1="${this.left}" x2="${W - RIGHT}" y1="${Y(v)}" y2="${Y(v)}"/>` +
      `<text text-anchor="end" x="${this.left - 5}" y="${Y(v) + 3.5}">${xml(label(v))}</text>`;
    const unit = options.epochs ? [1, 'epoch'] : this.high > 7200 ? [3600, 'time (h)'] : this.high > 180 ? [60, 'time (min)'] : [1, 'time (s)'];
    for (const t of ticksOf(this.low / unit[0], this.high / unit[0], 5)) {
      if (options.epochs && !Number.isInteger(t)) continue;
      svg += `<line class="axis" x1="${this.X(t * unit[0])}" x2="${this.X(t * unit[0])}" y1="${H - BOTTOM}" y2="${H - BOTTOM + 4}"/>` +
        `<text text-anchor="middle" x="${this.X(t * unit[0])}" y="${H - BOTTOM + 14}">${+t.toPrecision(6)}</text>`;
    }
    svg += `<line class="axis" x1="${this.left}" x2="${W - RIGHT}" y1="${H - BOTTOM}" y2="${H - BOTTOM}"/>` +
      `<text text-anchor="middle" x="${(this.left + W - RIGHT) / 2}" y="${H - 3}">${unit[1]}</text>`;
    if (this.at !== null) svg += `<line class="cursor" x1="${this.X(xs[at])}" x2="${this.X(xs[at])}" y1="${TOP}" y2="${H - BOTTOM}"/>`;
    series.forEach((s, style) => {
      let path = '', pen = 'M', points = 0;
      s.ys.forEach((y, i) => { if (!known(y)) { pen = 'M'; return; }
        path += pen + this.X(xs[i]).toFixed(1) + ' ' + Y(y).toFixed(1); pen = 'L'; points++; });
      svg += `<path class="line s${style % 6}" d="${path}"/>`;
      if (options.epochs || points === 1) s.ys.forEach((y, i) => { if (known(y))
        svg += `<circle class="dot s${style % 6}" cx="${this.X(xs[i]).toFixed(1)}" cy="${Y(y).toFixed(1)}" r="3"/>`; });
    });
    this.drawing.innerHTML = svg + '</svg>';
    // The newest value there is, unless the cursor asks for another.
    const valueOf = s => { let i = at; if (this.at === null) while (i > 0 && !known(s.ys[i])) i--; return options.format(s.ys[i]); };
    const when = this.at === null ? '' : (options.epochs ? ' in epoch ' + xs[at] : ' at ' + duration(xs[at]));
    const text = (series.length === 1 ? valueOf(series[0]) : '') + when;
    say(this.value, text);
    this.figure.setAttribute('aria-label', this.title + ': ' + (series.length === 1 ? text :
      series.map(s => s.name + ' ' + valueOf(s)).join(', ') + when));
    redraw(this.legend, series.length < 2 ? [] : series.map(s => s.name + ' ' + valueOf(s)), names => names.map((name, style) => {
      const key = el('span'); key.innerHTML = `<svg viewBox="0 0 24 10" width="24" height="10" aria-hidden="true"><path class="line s${style % 6}" d="M1 5H23"/></svg>`;
      key.append(name); return key; }));
  }
}
function chart(parent, title, xs, series, options) {
  series = series.filter(s => s.ys.some(known));
  const id = parent.id + '/' + title;
  if (xs.length === 0 || series.length === 0) { charts.get(id)?.figure.remove(); charts.delete(id); return; }
  if (!charts.has(id)) charts.set(id, new Chart(parent, title));
  charts.get(id).update(xs, series, options);
}

const TASK_METRICS = ['rows', 'auc', 'logloss', 'accuracy', 'precision', 'recall', 'f1', 'ece', 'gauc', 'c_index', 'brier', 'mse', 'mae',
  'r2', 'spearman', 'gini', 'total_ratio', 'decile_mape', 'poisson_deviance'];
const OVER = ['done', 'failed'];

function drawHead(s) {
  say($('name'), s.name);
  const stage = $('stage');
  say(stage, s.stage);
  stage.className = 'status ' + s.stage;
  document.title = s.stage + ': ' + s.name + ' (Cohort)';
  const over = OVER.includes(s.stage), parts = [];
  if (s.read_share < 1) parts.push('reading metrics.jsonl: ' + Math.round(100 * s.read_share) + ' %');
  const share = known(s.phase_rows) && s.phase_rows > 0 ? Math.min(1, s.phase_samples / s.phase_rows) : null;
  if (!over && s.kind && s.kind !== 'stop') parts.push((s.kind === 'train' ? 'epoch ' + s.epoch : s.kind + ' ' + s.split + ', epoch ' + s.epoch) +
    (share === null ? '' : ', ' + Math.floor(100 * share) + ' %'));
  const seconds = over && known(s.result.seconds) ? s.result.seconds : s.seconds;
  if (known(seconds)) parts.push(duration(seconds));
  if (!over && known(s.age_seconds)) parts.push('last heard of ' + duration(s.age_seconds) + ' ago');
  if (s.model_hash) parts.push('model ' + s.model_hash);
  say($('line'), parts.join(' · '));
  show($('progress'), !over);
  if (!over) $('progress').value = share || 0;
  say($('reason'), s.reason); show($('reason'), s.reason !== '');
  redraw($('notes'), s.problems.map(p => 'Problem: ' + p).concat(s.warnings.map(w => 'Warning: ' + w)), all => all.map(t => el('p', {class: 'warn'}, t)));
  const last = (name, now) => over && known(s.result[name]) ? s.result[name] : now;
  const list = [
    [over ? 'samples per second, training' : 'samples per second', count(last('samples_per_second', s.samples_per_second)), 'samples_per_second'],
    ['rows pulled per second', count(s.rows_per_second), 'rows_per_second'],
    [over ? 'rows of the model' : 'rows held', count(last('model_rows', s.rows)), 'model_rows'],
    ['memory of all processes', bytes(s.memory_bytes), 'memory_bytes'],
    ['clock of the fastest worker', count(s.highest_clock), 'highest_clock'],
    ['clock spread', count(s.clock_spread), 'clock_spread'],
    ['requests waiting at shards', count(s.queue_depth), 'queue_depth'],
    ['sent over the network', bytes(last('traffic_bytes', s.bytes_sent)), 'traffic_bytes'],
    ['strangers refused', count(last('counts.refused_peers', s.refused_peers)), 'counts.refused_peers'],
    ['push parts acknowledged', count(last('pushes.acknowledged', s.acknowledged)), 'pushes.acknowledged'],
    ['push parts duplicated', count(last('pushes.duplicated', s.duplicated)), 'pushes.duplicated']];
  if (over) list.push(['acknowledged and lost', count(s.result['pushes.lost']), 'pushes.lost'],
    ['rolled back', count(s.result['pushes.rolled_back']), 'pushes.rolled_back'], ['steps', count(s.result.steps), 'steps']);
  tiles($('tiles'), list);
}
function drawTasks(s) {
  const xs = s.history.seconds;
  for (const task of s.tasks) {
    const loss = s.history.series['loss/' + task.name];
    chart($('loss-charts'), task.name + ': loss', xs, loss ? [{name: 'loss', ys: loss}] : [], {format: metric});
    const name = ['auc', 'c_index', 'spearman', 'logloss', 'mse'].find(m => task.valid.some(e => known(e.metrics[m])));
    chart($('valid-charts'), task.name + ': ' + name + ', valid', task.valid.length < 2 || !name ? [] : task.valid.map(e => e.epoch),
      [{name, ys: task.valid.map(e => e.metrics[name])}], {format: metric, epochs: true});
  }
  const judged = s.tasks.flatMap(task => task.judged.map(each => ({task: task.name, ...each})));
  const names = TASK_METRICS.filter(name => judged.some(each => known(each.metrics[name])));
  show($('no-metrics'), judged.length === 0);
  show($('metric-table').parentNode, judged.length > 0);
  table($('metric-table'), ['task', {left: 'split'}, 'epoch', ...names], judged.map(each => [each.task, {text: each.split, mark: 'left'}, count(each.epoch),
    ...names.map(name => ({text: name === 'rows' ? count(each.metrics[name]) : metric(each.metrics[name]), name: [each.task, each.split, name].join('.')}))]));
}
function nodeSeries(s, prefix) {
  return Object.entries(s.history.series).filter(([name]) => name.startsWith(prefix + '/')).map(([name, ys]) => ({name: name.slice(prefix.length + 1), ys}))
    .sort((a, b) => a.name.localeCompare(b.name, 'en', {numeric: true}));
}
function drawMachinery(s) {
  const xs = s.history.seconds, one = (name, parent, title, format) =>
    chart($(parent), title, xs, s.history.series[name] ? [{name, ys: s.history.series[name]}] : [], {format, zero: true});
  one('samples_per_second', 'speed-charts', 'Samples per second', count);
  one('rows_per_second', 'speed-charts', 'Rows pulled per second', count);
  one('bytes_per_second', 'speed-charts', 'Sent per second', bytes);
  one('clock_spread', 'speed-charts', 'Clock spread', count);
  one('queue_depth', 'speed-charts', 'Requests waiting', count);
  one('memory_bytes', 'speed-charts', 'Memory of all processes', bytes);
  one('rows', 'speed-charts', 'Rows held', count);
  const several = (prefix, parent, title, format) => { const series = nodeSeries(s, prefix);
    chart($(parent), title, xs, series.length < 2 ? [] : series, {format, zero: true}); };
  several('samples_per_second', 'worker-charts', 'Samples per second, by worker', count);
  several('rows_per_second', 'shard-charts', 'Rows pulled per second, by shard', count);
  several('load', 'shard-charts', 'Load, by shard', cores);
  several('memory_bytes', 'shard-charts', 'Memory, by shard', bytes);
  const most = (list, name) => Math.max(1e-9, ...list.map(m => known(m[name]) ? m[name] : 0));
  const presence = m => ({text: m.presence || dash, mark: m.presence === 'missing' ? 'left bad' : 'left'});
  const workers = s.members.filter(m => m.role === 'worker'), servers = s.members.filter(m => m.role !== 'worker');
  const fastest = most(workers, 'samples_per_second'), fullest = most(servers, 'memory_bytes'), busiest = most(servers, 'rows_per_second');
  table($('worker-table'), ['worker', {left: 'state'}, 'samples/s', 'samples', 'clock', 'load', 'memory', {left: 'waits for'}, {left: 'host'}, 'pid'],
    workers.map(m => [m.node, presence(m), {text: count(m.samples_per_second), share: m.samples_per_second / fastest},
      {text: count(m.samples), name: m.node + '.samples'}, m.clock === 'end' ? 'the end' : count(m.clock), cores(m.load), bytes(m.memory_bytes),
      {text: m.waiting, mark: 'words'}, {text: m.host, mark: 'left'}, known(m.pid) ? String(m.pid) : dash]));
  table($('shard-table'), ['shard', {left: 'state'}, 'server', 'rows/s', 'rows', 'load', 'memory', 'waiting', {left: 'waits for'}, {left: 'host'}, 'pid'],
    servers.map(m => [m.node, presence(m), count(m.server), {text: count(m.rows_per_second), share: m.rows_per_second / busiest},
      {text: count(m.rows), name: m.node + '.rows'}, cores(m.load), {text: bytes(m.memory_bytes), share: m.memory_bytes / fullest}, count(m.queue_depth),
      {text: m.waiting, mark: 'words'}, {text: m.host, mark: 'left'}, known(m.pid) ? String(m.pid) : dash]));
}
const MARKS = {fault: 'bad', recovery: 'good', checkpoint: '', warning: 'warn', progress: 'soft'};
function drawEvents(s) {
  const line = e => el('li', {}, el('time', {}, e.time || dash), el('span', {class: MARKS[e.kind]}, e.kind), el('span', {}, e.text));
  const notable = s.events.filter(e => e.kind !== 'progress').reverse().slice(0, 100);
  redraw($('event-list'), notable, all => all.map(line));
  redraw($('log-list'), s.events, all => [...all].reverse().map(line));
  tiles($('recovery-tiles'), Object.entries(s.recoveries).map(([name, v]) => [words(name), count(v), 'recoveries.' + name]));
  say($('on-disk'), s.checkpoints.length === 0 ? 'No checkpoint is on the disk.' :
    'On the disk: ' + (s.checkpoints.length === 1 ? 'the checkpoint' : 'checkpoints') + ' of clock ' + s.checkpoints.join(', ') + '.');
  show($('no-hang'), s.hang_reports === 0); show($('hang-text'), s.hang_reports > 0);
  if (s.hang_reports > 0) say($('hang-text'), (s.hang_reports > 1 ? 'The newest of ' + s.hang_reports + ' pages:\n\n' : '') + s.hang_report);
  const numbers = Object.entries(s.result);
  show($('no-result'), numbers.length === 0); show($('result-details'), numbers.length > 0);
  table($('result-table'), ['number', 'value'], numbers.map(([name, v]) => [name, {text: number(name, v), name: 'result.' + name}]));
}
function draw(s) { drawHead(s); drawTasks(s); drawMachinery(s); drawEvents(s); document.body.dataset.drawn = s.stage; }

let paused = false, timer = 0, failing = null;
async function poll() {
  clearTimeout(timer);
  let wait = 1000;
  try {
    const answer = await fetch('state', {headers: token ? {Authorization: 'Bearer ' + token} : {}, cache: 'no-store', signal: AbortSignal.timeout(15000)});
    if (!answer.ok) throw new Error(answer.status === 403 ? 'The token is no longer the right one: open the address that the newest `cohort watch` has printed.' : 'status ' + answer.status);
    const state = await answer.json();
    failing = null;
    show($('lost'), false);
    draw(state);
    if (OVER.includes(state.stage)) wait = 5000;
  } catch (error) {
    failing = failing || Date.now();
    say($('lost'), '`cohort watch` has not answered for ' + duration((Date.now() - failing) / 1000) + ' (' + error.message + '). What stands here is old.');
    show($('lost'), true);
    wait = 2000;
  }
  if (!paused && !document.hidden) timer = setTimeout(poll, wait);
}
$('pause').addEventListener('click', () => {
  paused = !paused;
  $('pause').setAttribute('aria-pressed', String(paused));
  say($('pause'), paused ? 'Go on' : 'Pause');
  if (paused) clearTimeout(timer); else poll();
});
document.addEventListener('visibilitychange', () => { if (!document.hidden && !paused) poll(); });
poll();
)js";

}  // namespace

std::string WatchPage(const std::string& run, const std::string& nonce) {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<link rel=\"icon\" "
         "href=\"data:,\">\n<title>" +
         EscapeHtml(run) + " (Cohort)</title>\n<style>" + StyleSheet() + kStyle +
         "</style></head>\n<body><main>" + kBody + "</main>\n<script nonce=\"" + nonce + "\">" + kScript +
         "</script></body></html>\n";
}

}  // namespace cohort

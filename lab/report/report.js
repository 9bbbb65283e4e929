// SPDX-License-Identifier: MIT
// The page of `weir lab --html`: results as charts (dygraphs) and as a sequence diagram (SVG, ours).
//
//   data      what stands in the page: {scenario, title, look, jobs}, docs/lab.md
//   jobs      each gets a colour; those that are checked lie over each other in the charts
//   tape      of a job: packets and samples as rows, whose columns are named once
'use strict';
(() => {
const data = JSON.parse(document.getElementById('data').textContent);
const colours = ['#1f6fb4', '#d9480f', '#2b8a3e', '#862e9c', '#c2255c', '#0b7285', '#5f3dc4', '#846a00'];
const SHOWN_AT_FIRST = 4, PAGE = 150;
const $ = id => document.getElementById(id);

function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
}

const svgSpace = 'http://www.w3.org/2000/svg';
function svg(name, attributes = {}, ...children) {
    const made = document.createElementNS(svgSpace, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
}

// ---- what there is ---------------------------------------------------------------------------------

/** Numbers of the columns by their names. */
const places = names => Object.fromEntries((names || []).map((name, i) => [name, i]));

const jobs = data.jobs.map((job, i) => {
    const varied = Object.entries(job.set).filter(([name, value]) =>
        data.jobs.some(other => other.set[name] !== value) && !(job.run && name in runVariables(job)));
    const words = varied.map(([name, value]) => `${name}=${value}`);
    const tape = job.result.tape || {packets: [], connections: [], packet_columns: [], sample_columns: []};
    return {name: [job.run, ...words].filter(Boolean).join(' ') || 'run', colour: colours[i % colours.length],
        shown: i < SHOWN_AT_FIRST, result: job.result, tape, P: places(tape.packet_columns),
        S: places(tape.sample_columns), byConn: null};
});

/** Variables that differ between runs, and are told by the run's name. */
function runVariables(job) {
    const own = {};
    for (const name of Object.keys(job.set)) {
        const values = new Map();
        let constant = true;
        for (const other of data.jobs) {
            if (values.has(other.run) && values.get(other.run) !== other.set[name]) constant = false;
            values.set(other.run, other.set[name]);
        }
        if (constant) own[name] = true;
    }
    return own;
}

/** Packets of a connection, which are asked for often. */
function packetsOf(job, conn) {
    if (!job.byConn) {
        job.byConn = new Map();
        const at = job.P.conn;
        job.tape.packets.forEach((packet, number) => {
            const list = job.byConn.get(packet[at]);
            if (list) list.push(number);
            else job.byConn.set(packet[at], [number]);
        });
    }
    return job.byConn.get(conn) || [];
}

const shownJobs = () => jobs.filter(job => job.shown);
const seconds = us => us / 1e6;
let conn = 0, side = 0;

// ---- charts ----------------------------------------------------------------------------------------

/** One series: {name, colour, points: [[x, y]...], dash, dots, step}. Rows for dygraphs: x, then a column each. */
function rowsOf(series) {
    const at = [];
    series.forEach((one, i) => one.points.forEach(point => at.push([point[0], i, point[1]])));
    at.sort((a, b) => a[0] - b[0]);
    const rows = [];
    let row = null;
    for (const [x, i, y] of at) {
        if (!row || row[0] !== x || row[i + 1] !== null) {
            row = new Array(series.length + 1).fill(null);
            row[0] = x;
            rows.push(row);
        }
        row[i + 1] = y;
    }
    return rows;
}

/** Points without those that no one could see: in each of so many intervals the first, the least, the greatest and
 *  the last; fine between `from` and `to`, coarse elsewhere. */
function thinned(points, from, to, fine = 900, coarse = 200) {
    if (points.length <= fine) return points;
    const kept = [], begin = points[0][0], end = points[points.length - 1][0];
    const inside = (to - from) / fine, outside = (end - begin) / coarse || 1;
    let i = 0;
    while (i < points.length) {
        const x = points[i][0], near = x >= from && x <= to;
        const origin = near ? from : begin, step = near ? inside : outside;
        let limit = origin + (Math.floor((x - origin) / step) + 1) * step;
        if (x < from) limit = Math.min(limit, from);
        let low = i, high = i, last = i;
        for (; last + 1 < points.length && points[last + 1][0] < limit; last++) {
            if (points[last + 1][1] < points[low][1]) low = last + 1;
            if (points[last + 1][1] > points[high][1]) high = last + 1;
        }
        let before = -1;
        for (const at of [i, Math.min(low, high), Math.max(low, high), last])
            if (at > before) kept.push(points[before = at]);
        i = last + 1;
    }
    return kept;
}

let charts = [], linked = null, range = [0, 1];

/** Times of losses, and periods of recovery, of the chosen connection in the first shown job. */
function marks() {
    const job = shownJobs()[0];
    const found = {lost: [], recovery: []};
    if (!job) return found;
    for (const number of packetsOf(job, conn)) {
        const packet = job.tape.packets[number];
        if (packet[job.P.fate] !== null && packet[job.P.side] === side) found.lost.push(seconds(packet[job.P.t]));
    }
    let from = null, kind = 0;
    for (const sample of samplesOf(job)) {
        const state = sample[job.S.ca_state] >= 3 ? sample[job.S.ca_state] : 0;
        if (state === kind) continue;
        if (kind) found.recovery.push([from, seconds(sample[0]), kind]);
        from = seconds(sample[0]);
        kind = state;
    }
    if (kind) found.recovery.push([from, Infinity, kind]);
    return found;
}

function underlay(found) {
    return (canvas, area, chart) => {
        for (const [from, to, kind] of found.recovery) {
            const left = Math.max(area.x, chart.toDomXCoord(from));
            const right = Math.min(area.x + area.w, to === Infinity ? Infinity : chart.toDomXCoord(to));
            if (right <= left) continue;
            canvas.fillStyle = kind === 4 ? 'rgba(220, 60, 40, .16)' : 'rgba(250, 176, 5, .18)';
            canvas.fillRect(left, area.y, Math.max(1, right - left), area.h);
        }
        canvas.strokeStyle = 'rgba(200, 30, 20, .55)';
        canvas.beginPath();
        let last = -1;
        for (const time of found.lost) {
            const x = Math.round(chart.toDomXCoord(time)) + .5;
            if (x === last || x < area.x || x > area.x + area.w) continue;
            last = x;
            canvas.moveTo(x, area.y + area.h);
            canvas.lineTo(x, area.y + area.h - 8);
        }
        canvas.stroke();
    };
}

const shortly = x => String(Number(x.toPrecision(7)));

/** From the connection's first packet to its last, in all shown jobs. */
function rangeOfAll() {
    let from = Infinity, to = -Infinity;
    for (const job of shownJobs()) {
        const numbers = packetsOf(job, conn);
        for (const number of numbers) {
            const packet = job.tape.packets[number];
            from = Math.min(from, seconds(packet[job.P.t]));
            to = Math.max(to, seconds(packet[job.P.over] || packet[job.P.t]));
        }
    }
    if (from > to) return [0, 1];
    const space = (to - from || 1) * .01;
    return [Math.max(0, from - space), to + space];
}

function chart(title, unit, series, found) {
    series = series.filter(one => one.points.length > 0);
    if (series.length === 0) return;
    const box = element('div', {class: 'chart'}), legend = element('div', {class: 'legend'});
    $('charts').append(element('h2', {}, title), legend, box);
    const options = {};
    for (const one of series)
        options[one.name] = {color: one.colour, strokePattern: one.dash || null, stepPlot: Boolean(one.step),
            drawPoints: Boolean(one.dots), strokeWidth: one.dots ? 0 : 1.3, pointSize: one.size || 1.6,
            highlightCircleSize: 4};
    const highest = series.reduce((most, one) => one.points.reduce((m, point) => Math.max(m, point[1]), most), 0);
    const sorted = series.map(one => ({...one, points: one.points.slice().sort((a, b) => a[0] - b[0])}));
    const file = (from, to) => rowsOf(sorted.map(one => ({...one, points: thinned(one.points, from, to)})));
    let seen = range;
    const look = drawn => { // what was left out is there when one looks closer
        const [from, to] = drawn.xAxisRange();
        if (from === seen[0] && to === seen[1]) return;
        seen = [from, to];
        drawn.updateOptions({file: file(from, to)});
    };
    charts.push(new Dygraph(box, file(...range), {
        labels: ['s', ...series.map(one => one.name)], series: options, connectSeparatedPoints: true,
        labelsDiv: legend, legend: 'always', ylabel: unit, includeZero: true, labelsKMB: highest >= 10000,
        axes: {x: {drawGrid: false, axisLabelFormatter: shortly, valueFormatter: x => `${x.toFixed(6)} s`},
            y: {axisLabelWidth: 60}}, underlayCallback: underlay(found), dateWindow: range, drawCallback: look,
        width: box.clientWidth, height: 230, animatedZooms: false,
    }));
}

/** The samples of the chosen side of the chosen connection. */
function samplesOf(job) {
    const one = job.tape.connections[conn];
    return one ? one.sides[side].samples : [];
}

function columnOf(job, name, convert = value => value) {
    const at = job.S[name];
    return samplesOf(job).map(sample => [seconds(sample[0]), convert(sample[at])]);
}

const label = (job, what) => (jobs.length > 1 ? `${job.name}: ${what}` : what);
const known = ssthresh => (ssthresh < 0x7fffffff ? ssthresh : null);

function sequenceChart(found) {
    const series = [];
    for (const job of shownJobs()) {
        const P = job.P, sent = [], again = [], lost = [], acked = [];
        for (const number of packetsOf(job, conn)) {
            const packet = job.tape.packets[number];
            const t = seconds(packet[P.t]);
            if (packet[P.side] === side && packet[P.len] > 0) {
                (packet[P.again] ? again : sent).push([t, packet[P.seq]]);
                if (packet[P.fate] !== null) lost.push([t, packet[P.seq]]);
            } else if (packet[P.side] !== side && packet[P.ack] !== null && packet[P.fate] === null &&
                       packet[P.over] !== null) {
                acked.push([seconds(packet[P.over]), packet[P.ack]]);
            }
        }
        const alone = shownJobs().length === 1;
        series.push({name: label(job, 'sent'), colour: job.colour, points: sent, dots: true},
            {name: label(job, 'sent again'), colour: alone ? '#d37a00' : job.colour, points: again, dots: true, size: 3},
            {name: label(job, 'lost'), colour: '#c92a2a', points: lost, dots: true, size: 3},
            {name: label(job, 'acknowledged'), colour: job.colour, points: acked, step: true});
    }
    chart('Time and sequence number', 'bytes', series, found);
}

function windowCharts(found) {
    const windows = [], times = [];
    for (const job of shownJobs()) {
        windows.push({name: label(job, 'cwnd'), colour: job.colour, points: columnOf(job, 'cwnd'), step: true},
            {name: label(job, 'ssthresh'), colour: job.colour, dash: [6, 4], step: true,
                points: columnOf(job, 'ssthresh', known)},
            {name: label(job, 'pipe'), colour: job.colour + '80', points: columnOf(job, 'pipe'), step: true});
        times.push({name: label(job, 'srtt'), colour: job.colour, points: columnOf(job, 'srtt', us => us / 1000)},
            {name: label(job, 'RTO'), colour: job.colour, dash: [6, 4], step: true,
                points: columnOf(job, 'rto', us => us / 1000)});
    }
    chart('Congestion window, slow start threshold, packets in flight', 'packets', windows, found);
    chart('Smoothed round trip time and retransmission timeout', 'ms', times, found);
}

/** Series of queues: of the bottleneck, or of each link with a rate. */
function queuesOf(result) {
    if (result.bottleneck) return [['', result.bottleneck]];
    return Object.entries(result.links || {}).map(([name, link]) => [name, link.forward]);
}

function queueChart(found) {
    const series = [];
    for (const job of shownJobs())
        for (const [name, queue] of queuesOf(job.result))
            if (queue.rate_bps > 0)
                series.push({name: label(job, `queue ${name}`.trim()), colour: job.colour, step: true,
                    points: queue.series.map(row => [seconds(row[0]), row[1]])});
    chart('Queue', 'packets', series, found);
}

/** Bytes of data that arrived in each of so many intervals, of every connection; copies count. */
function arrivals(job, intervals) {
    const P = job.P, start = range[0] * 1e6, length = (range[1] - range[0]) * 1e6 / intervals, bytes = new Map();
    for (const packet of job.tape.packets) {
        if (packet[P.len] === 0 || packet[P.fate] !== null || packet[P.over] === null || packet[P.conn] < 0) continue;
        const key = packet[P.conn];
        let list = bytes.get(key);
        if (!list) bytes.set(key, list = new Float64Array(intervals));
        const at = Math.floor((packet[P.over] - start) / length);
        if (at >= 0 && at < intervals) list[at] += packet[P.len];
    }
    return {length, bytes, middle: at => seconds(start + (at + .5) * length)};
}

function throughputChart(found) {
    const intervals = 120, series = [], fairness = [];
    for (const job of shownJobs()) {
        const {length, bytes, middle} = arrivals(job, intervals);
        const flows = [...bytes.entries()].slice(0, 8);
        flows.forEach(([number, list], i) => series.push({
            name: label(job, flows.length > 1 ? nameOf(job, number) : 'throughput'),
            colour: shownJobs().length > 1 ? job.colour : colours[i % colours.length],
            dash: shownJobs().length > 1 && i > 0 ? [2 + 3 * i, 3] : null,
            points: Array.from(list, (n, at) => [middle(at), n * 8 / length])}));
        if (flows.length < 2) continue;
        const points = [];
        for (let at = 0; at < intervals; at++) {
            const rates = flows.map(([, list]) => list[at]), sum = rates.reduce((a, b) => a + b, 0);
            const squares = rates.reduce((a, b) => a + b * b, 0);
            if (squares > 0) points.push([middle(at), sum * sum / (flows.length * squares)]);
        }
        fairness.push({name: label(job, 'fairness'), colour: job.colour, points});
    }
    chart('Throughput (what arrived, of each connection)', 'Mbit/s', series, found);
    chart("Fairness (Jain's index; 1: all have the same)", '', fairness, found);
}

function drawCharts() {
    if (linked) linked.detach();
    for (const one of charts) one.destroy();
    charts = [];
    linked = null;
    $('charts').replaceChildren();
    const found = marks();
    range = rangeOfAll();
    sequenceChart(found);
    windowCharts(found);
    queueChart(found);
    throughputChart(found);
    if (charts.length > 1) linked = Dygraph.synchronize(charts, {selection: true, zoom: true, range: false});
}

// ---- the table of results --------------------------------------------------------------------------

const megabits = bps => (bps / 1e6).toFixed(3);

function drawTable() {
    const rows = [];
    for (const job of shownJobs()) {
        for (const flow of job.result.flows || [])
            rows.push({run: job.name, flow: `${flow.flow} ${flow.cc}`, 'Mbit/s': megabits(flow.goodput_bps),
                'steady Mbit/s': megabits(flow.steady_bps), 'sent again': flow.retransmits, RTOs: flow.rto,
                'srtt ms': (flow.srtt_us / 1000).toFixed(1),
                'fairness': (job.result.fairness_ppm / 1e6).toFixed(3),
                'link used %': (job.result.bottleneck.utilisation_ppm / 1e4).toFixed(1),
                'mean wait ms': (job.result.bottleneck.sojourn_mean_us / 1000).toFixed(1)});
        const sockets = Object.entries(job.result.sockets || {}).filter(([, socket]) => socket.info);
        for (const [name, socket] of sockets.slice(0, 12))
            rows.push({run: job.name, socket: name, host: socket.host,
                'connected s': socket.connected_us === null ? '' : seconds(socket.connected_us).toFixed(3),
                sent: socket.sent, received: socket.received, 'sent again': socket.info.total_retrans,
                RTOs: socket.info.total_rto, error: socket.error || ''});
    }
    if (rows.length === 0) return;
    const table = element('table'), names = Object.keys(rows[0]);
    table.append(element('tr', {}, ...names.map(name => element('th', {}, name))));
    for (const row of rows) table.append(element('tr', {}, ...names.map(name => element('td', {}, String(row[name])))));
    $('table').replaceChildren(table);
}

// ---- the sequence diagram --------------------------------------------------------------------------

let seqJob = 0, first = 0;

const nameOf = (job, number) => {
    const one = job.tape.connections[number];
    return one ? `${one.sides[0].end} – ${one.sides[1].end}` : '';
};

function kindOf(job, packet) {
    const flags = packet[job.P.flags];
    if (packet[job.P.again] || packet[job.P.copy]) return 'again';
    if (flags.includes('R')) return 'reset';
    if (flags.includes('S') || flags.includes('F')) return 'sign';
    return packet[job.P.len] > 0 ? 'data' : 'ack';
}

function brief(job, packet) {
    const P = job.P, flags = packet[P.flags];
    const words = [];
    for (const [letter, word] of [['S', 'SYN'], ['F', 'FIN'], ['R', 'RST']]) if (flags.includes(letter)) words.push(word);
    if (packet[P.len] > 0) words.push(`${packet[P.seq]}:${packet[P.seq] + packet[P.len]}`);
    if (packet[P.ack] !== null && !(flags.includes('R') && packet[P.ack] === 0)) words.push(`ack ${packet[P.ack]}`);
    if (packet[P.again]) words.push('(again)');
    if (packet[P.copy]) words.push('(copy)');
    return words.join(' ');
}

function fields(job, number) {
    const P = job.P, packet = job.tape.packets[number], fate = packet[P.fate];
    const lines = [`packet ${number + 1}  flags [${packet[P.flags]}]`, `sent     ${seconds(packet[P.t]).toFixed(6)} s`];
    if (fate !== null) lines.push(`lost     ${seconds(packet[P.over]).toFixed(6)} s, ${fate}`);
    else lines.push(packet[P.over] === null ? 'on its way at the end' : `arrived  ${seconds(packet[P.over]).toFixed(6)} s`);
    lines.push(`seq      ${packet[P.seq]}`, `ack      ${packet[P.ack] === null ? '-' : packet[P.ack]}`,
        `length   ${packet[P.len]}`, `window   ${packet[P.win]}`);
    if (packet[P.why] !== null) lines.push(`why      ${job.tape.points[packet[P.why]][2]}`);
    if (packet[P.refused]) lines.push(`refused  ${packet[P.refused]}`);
    if (packet[P.sack]) lines.push(`sack     ${packet[P.sack].join(' ')}`);
    if (packet[P.again]) lines.push('sent before');
    if (packet[P.copy]) lines.push('a copy, made by the net');
    return lines.join('\n');
}

/** What happens, in its order: packets leave and arrive, states change; each with its place from top. */
function layOut(job, numbers) {
    const P = job.P, events = [];
    const from = numbers.length ? job.tape.packets[numbers[0]][P.t] : 0;
    let to = from;
    for (const number of numbers) {
        const packet = job.tape.packets[number];
        events.push({time: packet[P.t], order: 2 * number, number, what: 'sent'});
        if (packet[P.over] === null) continue;
        const late = packet[P.over] > packet[P.t];
        events.push({time: packet[P.over], order: late ? -1 / (number + 2) : 2 * number + 1, number, what: 'over'});
        to = Math.max(to, packet[P.over]);
    }
    const all = packetsOf(job, conn), isLast = all[all.length - 1] === numbers[numbers.length - 1];
    for (const [time, at, state, packet] of job.tape.connections[conn].states) {
        if (time < from || (time > to && !isLast)) continue;
        const arrived = packet !== null ? events.find(event => event.number === packet && event.what === 'over') : null;
        events.push({time, order: arrived ? arrived.order + 1e-9 : -2, what: 'state', side: at, state});
    }
    for (const [time, at, point] of job.tape.connections[conn].notes) {
        const [kind, why, text] = job.tape.points[point];
        if (time < from || (time > to && !isLast) || kind === 'lost' || why === 'delack') continue;
        events.push({time, order: 1e-6, what: 'note', side: at, text});
    }
    events.sort((a, b) => a.time - b.time || a.order - b.order);
    let y = 56, before = null;
    for (const event of events) {
        const gap = before === null ? 0 : event.time - before;
        y += event.what === 'state' && gap === 0 ? 2 : 14 + (gap > 0 ? Math.min(46, 6 * Math.log10(1 + gap / 1000)) : 0);
        event.gap = gap;
        event.y = y;
        before = event.time;
    }
    return {events, height: y + 30};
}

function arrow(job, number, y1, y2, width) {
    const packet = job.tape.packets[number], right = packet[job.P.side] === 0, fate = packet[job.P.fate];
    const x1 = right ? 200 : width - 200, whole = right ? width - 200 : 200;
    const x2 = fate !== null ? x1 + (whole - x1) * .6 : whole;
    const angle = Math.atan2(y2 - y1, x2 - x1), group = svg('g', {class: `packet ${kindOf(job, packet)}`});
    const lost = fate !== null || packet[job.P.over] === null;
    group.append(svg('line', {class: `seen${lost ? ' lost' : ''}`, x1, y1, x2, y2}));
    if (fate !== null) {
        group.append(svg('path', {class: 'cross', d: `M${x2 - 5} ${y2 - 5}l10 10m0 -10l-10 10`}));
    } else {
        const tip = turn => `${x2 - 9 * Math.cos(angle + turn)},${y2 - 9 * Math.sin(angle + turn)}`;
        group.append(svg('polygon', {points: `${x2},${y2} ${tip(.35)} ${tip(-.35)}`}));
    }
    group.append(svg('text', {x: (x1 + whole) / 2, y: y1 + (y2 - y1) * (fate !== null ? .83 : .5) - 4, 'text-anchor': 'middle'},
        brief(job, packet)), svg('line', {class: 'wide', x1, y1, x2, y2}));
    group.dataset.number = number;
    group.addEventListener('mousemove', event => showTip(event, fields(job, number)));
    group.addEventListener('mouseleave', () => { $('tip').hidden = true; });
    return group;
}

function showTip(event, text) {
    const tip = $('tip');
    tip.textContent = text;
    tip.hidden = false;
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
}

function stateLabel(event, width) {
    const x = event.side === 0 ? 136 : width - 136;
    return svg('g', {class: 'state'}, svg('rect', {x: x - 52, y: event.y - 8, width: 104, height: 15, rx: 3}),
        svg('text', {x, y: event.y + 3, 'text-anchor': 'middle'}, event.state));
}

function noteLabel(event, width) {
    const left = event.side === 0;
    return svg('text', {class: 'note', x: left ? 206 : width - 206, y: event.y + 3,
        'text-anchor': left ? 'start' : 'end'}, event.text);
}

function drawDiagram() {
    const job = jobs[seqJob], one = job && job.tape.connections[conn];
    $('diagram').replaceChildren();
    $('sequence').hidden = !one;
    if (!one) return;
    const all = packetsOf(job, conn), numbers = all.slice(first, first + PAGE), width = 1100;
    const {events, height} = layOut(job, numbers);
    const picture = svg('svg', {viewBox: `0 0 ${width} ${height}`});
    one.sides.forEach((end, i) => {
        const x = i === 0 ? 200 : width - 200;
        picture.append(svg('line', {class: 'life', x1: x, y1: 40, x2: x, y2: height}),
            svg('text', {x, y: 28, 'text-anchor': 'middle'}, end.end));
    });
    const sentAt = new Map(), overAt = new Map();
    let labelled = -20;
    for (const event of events) {
        if (event.what === 'state') picture.append(stateLabel(event, width));
        else if (event.what === 'note') picture.append(noteLabel(event, width));
        else (event.what === 'sent' ? sentAt : overAt).set(event.number, event.y);
        if (event.y - labelled < 12 || (event.gap === 0 && labelled > 0)) continue;
        labelled = event.y;
        picture.append(svg('text', {class: 'time', x: 4, y: event.y + 3}, `${seconds(event.time).toFixed(6)} s`));
    }
    for (const number of numbers) {
        const y1 = sentAt.get(number);
        picture.append(arrow(job, number, y1, overAt.has(number) ? overAt.get(number) : height, width));
    }
    $('diagram').append(picture);
    $('page').textContent = all.length > PAGE
        ? `packets ${first + 1} to ${first + numbers.length} of ${all.length}` : `${all.length} packets`;
    $('back').disabled = first === 0;
    $('on').disabled = first + PAGE >= all.length;
}

// ---- choices ---------------------------------------------------------------------------------------

function fillChoices() {
    jobs.forEach((job, i) => {
        const box = element('input', {type: 'checkbox'});
        box.checked = job.shown;
        box.addEventListener('change', () => { job.shown = box.checked; drawTable(); drawCharts(); });
        $('runs').append(element('label', {}, box,
            element('span', {class: 'swatch', style: `background: ${job.colour}`}), job.name));
        $('seqrun').append(element('option', {value: i}, job.name));
    });
    const most = jobs.reduce((a, b) => (b.tape.connections.length > a.tape.connections.length ? b : a), jobs[0]);
    most.tape.connections.slice(0, 500).forEach((one, i) => $('conn').append(element('option', {value: i}, nameOf(most, i))));
}

/** The side that sent more data is the one to look at. */
function chooseSide() {
    const job = shownJobs()[0] || jobs[0], one = job.tape.connections[conn], bytes = [0, 0];
    for (const number of packetsOf(job, conn)) {
        const packet = job.tape.packets[number];
        bytes[packet[job.P.side]] += packet[job.P.len];
    }
    side = bytes[1] > bytes[0] ? 1 : 0;
    $('side').replaceChildren(...(one ? one.sides.map((end, i) => element('option', {value: i}, end.end)) : []));
    $('side').value = side;
}

function chooseConn(number) {
    conn = number;
    first = 0;
    chooseSide();
    drawCharts();
    drawDiagram();
}

$('title').textContent = data.title;
document.title = `${data.title} – weir lab`;
$('look').textContent = data.look;
fillChoices();
drawTable();
$('conn').addEventListener('change', event => chooseConn(Number(event.target.value)));
$('side').addEventListener('change', event => { side = Number(event.target.value); drawCharts(); });
$('seqrun').addEventListener('change', event => { seqJob = Number(event.target.value); first = 0; drawDiagram(); });
$('back').addEventListener('click', () => { first = Math.max(0, first - PAGE); drawDiagram(); });
$('on').addEventListener('click', () => { first += PAGE; drawDiagram(); });
chooseConn(0);
requestAnimationFrame(() => { document.body.dataset.ready = performance.now().toFixed(0); });
})();

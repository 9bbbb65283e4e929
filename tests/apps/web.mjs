// SPDX-License-Identifier: MIT

// An HTTP server and its client on node.
//
//   web.mjs server PORT          one process, until SIGTERM
//   web.mjs cluster PORT         two workers share the port (as NODE_CLUSTER_SCHED_POLICY says)
//   web.mjs client HOST PORT N   does the work below with a server of N processes; a line for each part
import cluster from 'node:cluster';
import crypto from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

function pattern(n) {
    const data = Buffer.alloc(n);
    for (let i = 0; i < n; i++)
        data[i] = i + (i >> 8);
    return data;
}
const sha256 = (data) => crypto.createHash('sha256').update(data).digest('hex');

let aborted = 0;

async function answer(request, response) {
    const [, what, n] = request.url.split('/');
    if (what === 'bytes') {
        response.end(pattern(Number(n)));
    } else if (what === 'pieces') { // chunked, with waits for the client to take them
        for (let i = 0; i < 100; i++)
            if (!response.write(pattern(Number(n))))
                await once(response, 'drain');
        response.end();
    } else if (what === 'sha256') {
        const hash = crypto.createHash('sha256');
        for await (const piece of request)
            hash.update(piece);
        response.end(hash.digest('hex'));
    } else if (what === 'port') {
        response.end(String(request.socket.remotePort));
    } else if (what === 'pid') {
        response.setHeader('connection', 'close').end(String(process.pid));
    } else if (what === 'never') {
        response.on('close', () => aborted++);
    } else if (what === 'aborted') {
        response.setHeader('connection', 'close').end(String(aborted));
    }
}

function serve(port) {
    // By itself it would close a connection that is idle for 5 s, on a busy machine also under the next request.
    const server = http.createServer({ keepAliveTimeout: 600_000 }, answer).listen(port);
    process.on('SIGTERM', () => {
        server.close(() => process.exit(0));
        server.closeAllConnections();
    });
}

function lead() {
    cluster.fork();
    cluster.fork();
    process.on('SIGTERM', () => cluster.disconnect(() => process.exit(0)));
}

// Half-close on a plain socket: the answer comes after our FIN, and the end of it is the server's.
async function plain(host, port) {
    const socket = net.connect({ host, port, allowHalfOpen: true });
    socket.setKeepAlive(true, 1000).setNoDelay(true);
    socket.end('GET /bytes/1000 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    const pieces = [];
    for await (const piece of socket)
        pieces.push(piece);
    return Buffer.concat(pieces).subarray(-1000).equals(pattern(1000));
}

async function refused(host) {
    const [error] = await once(net.connect({ host, port: 1 }).on('error', () => {}), 'error');
    return error.code;
}

async function work(host, port, processes) {
    const base = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
    const get = async (path) => Buffer.from(await (await fetch(base + path)).arrayBuffer());
    const text = async (path) => String(await get(path));

    for (const n of [0, 1, 100000, 1000000])
        if (!(await get(`/bytes/${n}`)).equals(pattern(n)))
            console.log('bytes differ', n);
    const pieces = Buffer.concat(Array(100).fill(pattern(30000)));
    console.log('pieces', sha256(await get('/pieces/30000')) === sha256(pieces));
    const body = pattern(3000000);
    const posted = await fetch(`${base}/sha256`, { method: 'POST', body });
    console.log('upload', await posted.text() === sha256(body));

    const sizes = Array.from({ length: 100 }, (_, i) => i * 100);
    const all = await Promise.all(sizes.map((n) => get(`/bytes/${n}`)));
    console.log('concurrent', all.filter((data, i) => data.equals(pattern(sizes[i]))).length);

    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set();
    for (let i = 0; i < 20; i++) {
        const [response] = await once(http.get(`${base}/port`, { agent }), 'response');
        for await (const piece of response)
            ports.add(String(piece));
    }
    agent.destroy();
    console.log('kept alive', ports.size);

    const pids = new Set(); // which worker accepts is a matter of luck
    for (let i = 0; i < 50 && pids.size < processes; i++)
        for (const pid of await Promise.all(sizes.slice(-30).map(() => text('/pid'))))
            pids.add(pid);
    console.log('processes', pids.size);

    const given_up = await fetch(`${base}/never`, { signal: AbortSignal.timeout(100) })
        .catch((error) => error.name);
    console.log('given up:', given_up);
    let seen = false; // by the worker that had it: each question may meet another
    for (let i = 0; i < 200 && !seen; i++, await sleep(5))
        seen = await text('/aborted') !== '0';
    console.log('server saw the close', seen);
    console.log('half-close', await plain(host, port));
    console.log('refused', await refused(host));
    process.exit(0); // fetch keeps its connections for a while
}

const [what, ...rest] = process.argv.slice(2);
if (what === 'client')
    await work(...rest);
else if (what === 'cluster' && cluster.isPrimary)
    lead();
else
    serve(Number(rest[0]));

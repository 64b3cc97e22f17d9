// SPDX-License-Identifier: Apache-2.0
//
// Many different requests to one port, as fast as one Node thread can: a few keep-alive connections, several requests
// under way on each (HTTP/1.1 pipelining). For starting, and reading back, a hundred thousand executions: wrk sends the
// same request for ever and keeps no answers.
import net from 'node:net';

export interface Sent {
    method: string;
    path: string;
    body?: unknown;
}

export interface Options {
    connections?: number;
    /** Requests under way on a connection. */
    depth?: number;
}

const HEAD_END = Buffer.from('\r\n\r\n');

/** Answers come in the order of the requests of a connection, so a queue of indexes says whose each is. */
class Pipe {
    private rest: Buffer = Buffer.alloc(0);
    readonly waiting: number[] = [];
    constructor(readonly socket: net.Socket, private readonly answered: (index: number, status: number, body: Buffer) => void) {
        socket.setNoDelay(true);
    }

    send(index: number, r: Sent): string {
        this.waiting.push(index);
        const body = r.body === undefined ? '' : JSON.stringify(r.body);
        return `${r.method} ${r.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${body ? `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` : ''}\r\n${body}`;
    }

    take(data: Buffer): void {
        let buf = this.rest.length ? Buffer.concat([this.rest, data]) : data;
        for (;;) {
            const end = buf.indexOf(HEAD_END);
            if (end < 0) break;
            const head = buf.toString('latin1', 0, end);
            const length = /\r\ncontent-length: *(\d+)/i.exec(head);
            if (!length) throw new Error(`an answer without Content-Length: ${head}`);
            const size = end + HEAD_END.length + Number(length[1]);
            if (buf.length < size) break;
            this.answered(this.waiting.shift()!, Number(head.slice(9, 12)), buf.subarray(end + HEAD_END.length, size));
            buf = buf.subarray(size);
        }
        this.rest = buf;
    }
}

/** Sends count requests, made by make(i); take(i, status, body) gets each answer. Resolves when all have come. */
export function sendMany(port: number, count: number, make: (i: number) => Sent, take: (i: number, status: number, body: Buffer) => void, options: Options = {}): Promise<void> {
    const depth = options.depth ?? 16;
    const connections = Math.min(options.connections ?? 16, Math.ceil(count / depth));
    return new Promise((resolve, reject) => {
        if (count === 0) return resolve();
        let next = 0;
        let done = 0;
        const pipes: Pipe[] = [];
        const end = (error?: unknown) => {
            for (const p of pipes) p.socket.destroy();
            if (error) reject(error);
            else resolve();
        };
        for (let c = 0; c < connections; c++) {
            const socket = net.connect(port, '127.0.0.1');
            const fill = () => {
                let text = '';
                while (pipe.waiting.length < depth && next < count) {
                    text += pipe.send(next, make(next));
                    next++;
                }
                if (text) socket.write(text);
            };
            const pipe = new Pipe(socket, (index, status, body) => {
                take(index, status, body);
                done++;
            });
            pipes.push(pipe);
            socket.on('connect', fill);
            socket.on('data', (data: Buffer) => {
                try {
                    pipe.take(data);
                    if (done === count) end();
                    else fill();
                } catch (e) {
                    end(e);
                }
            });
            socket.on('error', end);
            socket.on('close', () => {
                if (done < count) end(new Error(`the server closed a connection with ${pipe.waiting.length} requests under way (${done} of ${count} answered)`));
            });
        }
    });
}

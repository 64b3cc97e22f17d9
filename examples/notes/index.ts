// SPDX-License-Identifier: Apache-2.0
//
// A JSON API over SQL: list with search and pages, create many at once, read, change, delete.
//
//     curl -X POST http://notes.localhost:8080/notes -d '[{"title": "one"}, {"title": "two"}]'
//     curl 'http://notes.localhost:8080/notes?q=o&limit=1'
//     curl -X PATCH http://notes.localhost:8080/notes/1 -d '{"body": "text"}'
import { log, sql } from "limpet";

interface Note {
    id: number;
    title: string;
    body: string;
    updated_at: string;
}

class Refused extends Error {
    constructor(readonly status: number, message: string) {
        super(message);
    }
}

function open(): void {
    sql.exec(`CREATE TABLE IF NOT EXISTS notes (
        id INTEGER PRIMARY KEY,
        title TEXT NOT NULL CHECK (title <> ''),
        body TEXT NOT NULL DEFAULT '',
        updated_at TEXT NOT NULL DEFAULT (strftime('%FT%TZ'))
    )`);
}

async function input(request: Request): Promise<Partial<Note> | Partial<Note>[]> {
    try {
        return await request.json();
    } catch {
        throw new Refused(400, "the body is not JSON");
    }
}

function list(params: URLSearchParams): Response {
    const limit = Math.min(Number(params.get("limit") ?? 20) || 20, 100);
    const after = Number(params.get("after") ?? 0) || 0;
    const notes = sql.exec<Note>(
        "SELECT * FROM notes WHERE id > ? AND instr(title, ?) ORDER BY id LIMIT ?",
        after, params.get("q") ?? "", limit,
    ).toArray();
    return Response.json({ notes, next: notes.length === limit ? notes.at(-1)!.id : null });
}

/** All of them or none: a note without a title undoes those before it. */
function create(given: Partial<Note> | Partial<Note>[]): Response {
    const ids = sql.transaction(() => [given].flat().map(({ title, body = "" }, i) => {
        if (typeof title !== "string" || title === "") {
            throw new Refused(422, `note ${i + 1} has no title`);
        }
        return sql.exec("INSERT INTO notes (title, body) VALUES (?, ?)", title, body).lastInsertRowid;
    }));
    log.info(`created ${ids.length} notes`);
    return Response.json({ ids }, { status: 201 });
}

function change(id: string, { title, body }: Partial<Note>): Response {
    const note = sql.exec<Note>(
        `UPDATE notes SET title = coalesce(?, title), body = coalesce(?, body), updated_at = strftime('%FT%TZ')
         WHERE id = ? RETURNING *`, title, body, id,
    ).first();
    return found(note);
}

function found(note: Note | undefined): Response {
    if (!note) {
        throw new Refused(404, "there is no such note");
    }
    return Response.json(note);
}

async function route(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const [, id] = /^\/notes(?:\/(\d+))?$/.exec(pathname) ?? [undefined, undefined];
    if (!pathname.startsWith("/notes")) {
        throw new Refused(404, "the notes are at /notes");
    }
    switch (`${request.method} ${id ? "one" : "all"}`) {
    case "GET all":
        return list(searchParams);
    case "POST all":
        return create(await input(request));
    case "GET one":
        return found(sql.exec<Note>("SELECT * FROM notes WHERE id = ?", id).first());
    case "PATCH one":
        return change(id!, await input(request) as Partial<Note>);
    case "DELETE one":
        if (!sql.exec("DELETE FROM notes WHERE id = ?", id).changes) {
            throw new Refused(404, "there is no such note");
        }
        return new Response(null, { status: 204 });
    default:
        throw new Refused(405, `${request.method} is not possible here`);
    }
}

export default {
    async fetch(request) {
        open();
        try {
            return await route(request);
        } catch (error) {
            if (error instanceof Refused) {
                return Response.json({ error: error.message }, { status: error.status });
            }
            throw error;
        }
    },
} satisfies ExportedHandler;

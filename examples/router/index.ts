// SPDX-License-Identifier: Apache-2.0
//
// A package from npm, unchanged: Hono's router and middleware over this function's own database.
//
//     curl http://router.localhost:8080/todos -H 'content-type: application/json' -d '{"text": "rest"}'
//     curl http://router.localhost:8080/todos
import { Hono } from "hono";
import { cors } from "hono/cors";
import { HTTPException } from "hono/http-exception";
import { timing } from "hono/timing";
import { sql } from "limpet";

interface Todo {
    id: number;
    text: string;
    done: number;
}

const app = new Hono();

app.use(timing());
app.use(cors());
app.use("/todos/*", async (c, next) => {
    sql.exec("CREATE TABLE IF NOT EXISTS todos (id INTEGER PRIMARY KEY, text TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0)");
    await next();
});

app.get("/", (c) => c.text("todos are at /todos\n"));

app.get("/todos", (c) => c.json(sql.exec<Todo>("SELECT * FROM todos ORDER BY id").toArray()));

app.post("/todos", async (c) => {
    const { text } = await c.req.json<{ text?: string }>();
    if (!text) {
        throw new HTTPException(422, { message: "text is missing" });
    }
    return c.json(sql.exec<Todo>("INSERT INTO todos (text) VALUES (?) RETURNING *", text).one(), 201);
});

app.post("/todos/:id{[0-9]+}/done", (c) => {
    const todo = sql.exec<Todo>(
        "UPDATE todos SET done = 1 WHERE id = ? RETURNING *", c.req.param("id"),
    ).first();
    return todo ? c.json(todo) : c.notFound();
});

export default app;

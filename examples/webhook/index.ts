// SPDX-License-Identifier: Apache-2.0
//
// Receives signed webhooks: the body's HMAC-SHA-256 must match the header, each delivery counts once.
// The secret is an environment variable of the function.
//
//     limpet function env set webhook WEBHOOK_SECRET s3cret
//     body='{"id": "evt_1", "type": "paid"}'
//     sign=$(printf %s "$body" | openssl dgst -sha256 -hmac s3cret -r | cut -d' ' -f1)
//     curl http://webhook.localhost:8080/ -H "x-signature: sha256=$sign" -d "$body"
import { sql } from "limpet";

interface Delivery {
    id?: unknown;
    type?: unknown;
}

function fromHex(text: string): Uint8Array {
    return Uint8Array.from(text.match(/[0-9a-f]{2}/gi) ?? [], (pair) => Number.parseInt(pair, 16));
}

async function isSigned(body: Uint8Array, header: string | null, secret: string): Promise<boolean> {
    const [scheme, hex = ""] = (header ?? "").split("=");
    if (scheme !== "sha256") {
        return false;
    }
    const key = await crypto.subtle.importKey(
        "raw", new TextEncoder().encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["verify"],
    );
    return crypto.subtle.verify("HMAC", key, fromHex(hex), body);
}

/** False if it was stored before: senders repeat what they are not sure of. */
function store(id: string, type: string, body: string): boolean {
    sql.exec("CREATE TABLE IF NOT EXISTS deliveries (id TEXT PRIMARY KEY, type TEXT NOT NULL, body TEXT NOT NULL)");
    return sql.exec("INSERT OR IGNORE INTO deliveries VALUES (?, ?, ?)", id, type, body).changes === 1;
}

export default async function webhook(request: Request, env: Env) {
    const secret = env.WEBHOOK_SECRET;
    if (!secret) {
        throw new Error("WEBHOOK_SECRET is not set: limpet function env set webhook WEBHOOK_SECRET …");
    }
    if (request.method !== "POST") {
        return new Response("send a POST\n", { status: 405, headers: { allow: "POST" } });
    }
    const bytes = await request.bytes();
    if (!await isSigned(bytes, request.headers.get("x-signature"), secret)) {
        return Response.json({ error: "the signature does not match" }, { status: 401 });
    }
    const text = new TextDecoder().decode(bytes);
    const { id, type }: Delivery = JSON.parse(text);
    if (typeof id !== "string" || typeof type !== "string") {
        return Response.json({ error: "a delivery has an id and a type" }, { status: 422 });
    }
    return { stored: store(id, type, text) }; // a value becomes JSON
}

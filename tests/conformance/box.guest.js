// SPDX-License-Identifier: Apache-2.0
//
// The function that tests run in: it evaluates the scripts of a request in its fresh globals and tells what became of
// them. Texts under SOURCES (put in front of this file by the runner) are known by name, so that requests stay small;
// those of PRELOADED have been evaluated when the image was made.
//
// Tests change the language's own objects, so what is needed after them is kept here before.
const { stringify, parse } = JSON;
const evaluate = eval;
const ResponseClass = Response;
const later = setTimeout;
const push = Function.prototype.call.bind(Array.prototype.push);
const text = String;

for (const name of PRELOADED) evaluate(SOURCES[name]);

function told(error) {
    if (error === null || (typeof error !== "object" && typeof error !== "function")) return { name: typeof error, message: text(error) };
    const kind = error.constructor;
    return { name: text((typeof kind === "function" && kind.name) || error.name), message: text(error.message), stack: text(error.stack) };
}

export default {
    async fetch(request) {
        // {scripts: [{name} or {text}], wait: ms for __boxDone() or 0, global: properties of the global object}
        const job = parse(await request.text());
        const lines = [];
        let finish;
        const finished = new Promise((resolve) => (finish = resolve));
        globalThis.print = (line) => {
            push(lines, text(line));
            if (job.until && text(line).startsWith(job.until)) finish();
        };
        globalThis.__boxDone = finish;
        for (const [name, value] of Object.entries(job.global ?? {})) globalThis[name] = value;
        let error = null;
        try {
            for (const { name, text } of job.scripts) evaluate(text ?? SOURCES[name]);
        } catch (thrown) {
            error = told(thrown);
        }
        let isLate = false;
        if (error === null && job.wait) {
            later(() => {
                isLate = true;
                finish();
            }, job.wait);
            await finished;
        }
        return new ResponseClass(stringify({ error, lines, isLate }));
    },
};

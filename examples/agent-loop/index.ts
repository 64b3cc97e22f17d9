// SPDX-License-Identifier: Apache-2.0
//
// An agent: a model is asked, the tools that it names are run, their answers go back, until it is done or its
// turns are used up. Each question and each tool is a step, so nothing is asked or paid twice after a crash.
// Questions to the person are signals. MODEL_URL is any chat API in the style of OpenAI's.
//
//     limpet workflow upload agent-loop examples/agent-loop/index.ts
//     limpet workflow env set agent-loop MODEL_URL http://localhost:11434/v1/chat/completions
//     limpet workflow run agent-loop --input '{"task": "How many days until the year 2050?"}' --wait --tail
//     limpet execution signal EXECUTION reply --data '"yes, go on"'
import { CancelledError, env, log, NonRetryableError, now, progress, step, waitForEvent, workflow } from "limpet";

interface Task {
    task: string;
    model?: string;
    turns?: number;
}

interface ToolCall {
    id: string;
    function: { name: string; arguments: string };
}

interface Message {
    role: "system" | "user" | "assistant" | "tool";
    content: string | null;
    tool_calls?: ToolCall[];
    tool_call_id?: string;
}

interface Tool {
    description: string;
    parameters: Record<string, { type: string; description: string }>;
    run(args: Record<string, any>): unknown;
}

const tools: Record<string, Tool> = {
    fetch_page: {
        description: "Fetches a web page and gives the first 4000 characters of its text.",
        parameters: { url: { type: "string", description: "absolute URL" } },
        run: ({ url }) => step(`fetch ${url}`, { retries: 2, timeout: "30 seconds" }, async () => {
            const answer = await fetch(url);
            return `${answer.status}\n${(await answer.text()).replaceAll(/<[^>]*>/g, " ").slice(0, 4000)}`;
        }),
    },
    today: {
        description: "The date and time, UTC.",
        parameters: {},
        run: () => new Date(now()).toISOString(),
    },
    ask_person: {
        description: "Asks the person who gave the task, and waits for the answer.",
        parameters: { question: { type: "string", description: "in one sentence" } },
        async run({ question }) {
            progress({ question });
            const { data } = await waitForEvent<string>("reply", { timeout: "7 days" });
            return data;
        },
    },
};

async function ask(model: string, messages: Message[]): Promise<Message> {
    const url = env.get("MODEL_URL");
    if (!url) {
        throw new NonRetryableError("MODEL_URL is not set: limpet workflow env set agent-loop MODEL_URL …");
    }
    const answer = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${env.get("MODEL_KEY") ?? ""}` },
        body: JSON.stringify({
            model, messages,
            tools: Object.entries(tools).map(([name, { description, parameters }]) => ({
                type: "function",
                function: {
                    name, description,
                    parameters: { type: "object", properties: parameters, required: Object.keys(parameters) },
                },
            })),
        }),
    });
    if (answer.status >= 400 && answer.status < 500 && answer.status !== 429) {
        throw new NonRetryableError(`the model refused: ${answer.status} ${await answer.text()}`);
    }
    if (!answer.ok) {
        throw new Error(`the model answered ${answer.status}`);
    }
    return (await answer.json()).choices[0].message;
}

/** What a tool says, or what went wrong, which the model may then mend. */
async function use(call: ToolCall): Promise<Message> {
    const { name, arguments: text } = call.function;
    let content: string;
    try {
        const tool = tools[name];
        if (!tool) {
            throw new Error(`there is no tool named ${name}`);
        }
        content = String(await tool.run(JSON.parse(text || "{}")));
    } catch (error) {
        if (error instanceof CancelledError) {
            throw error;
        }
        content = `error: ${error instanceof Error ? error.message : String(error)}`;
    }
    return { role: "tool", tool_call_id: call.id, content };
}

export default workflow(async ({ task, model = "default", turns = 20 }: Task) => {
    const messages: Message[] = [
        { role: "system", content: "Solve the task with the tools. Answer in plain text when you are done." },
        { role: "user", content: task },
    ];
    for (let turn = 1; turn <= turns; turn++) {
        progress({ turn });
        const reply = await step(
            `model, turn ${turn}`, { retries: 8, backoff: { delay: "2 seconds", max: "2 minutes" }, timeout: "5 minutes" },
            () => ask(model, messages),
        );
        messages.push(reply);
        const calls = reply.tool_calls ?? [];
        if (calls.length === 0) {
            return { answer: reply.content, turns: turn };
        }
        log.info(`turn ${turn}: ${calls.map((call) => call.function.name).join(", ")}`);
        messages.push(...await Promise.all(calls.map(use)));
    }
    throw new Error(`no answer within ${turns} turns`);
});

// The stream, read by fetch because EventSource cannot send a token. Connects again for ever.

const RETRY_MS = 1000;
const DEAD_MS = 5000;

export class Refused extends Error {}

export async function ask(path, token) {
  const answer = await fetch(path, {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(DEAD_MS),
  });
  if (answer.status === 401 || answer.status === 403) throw new Refused(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

// Calls on.frame(kind, data) for each event and on.trouble(status) for each failed attempt;
// returns when the token is refused.
export async function follow(token, on) {
  let lastId = null;
  for (;;) {
    let status = 0;
    try {
      await read(token, lastId, (kind, data, id) => {
        if (id !== null) lastId = id;
        if (kind === "reset") lastId = String(data.after);
        // What came before the first state is fetched as a page; what comes after it is resumed.
        if (lastId === null && kind === "state" && data.status.committed_seq !== null) {
          lastId = String(data.status.committed_seq);
        }
        on.frame(kind, data);
      }, (code) => { status = code; });
    } catch (error) {
      if (error instanceof Refused) return;
    }
    on.trouble(status);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS * (0.75 + Math.random() / 2)));
  }
}

async function read(token, lastId, onFrame, onStatus) {
  const abort = new AbortController();
  let watchdog = setTimeout(() => abort.abort(), DEAD_MS);
  const alive = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => abort.abort(), DEAD_MS);
  };
  try {
    const headers = { authorization: `Bearer ${token}` };
    if (lastId !== null) headers["last-event-id"] = lastId;
    const answer = await fetch("api/v1/stream", { headers, signal: abort.signal });
    onStatus(answer.status);
    if (answer.status === 401 || answer.status === 403) throw new Refused("stream");
    if (!answer.ok) return;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      blocks.forEach((block) => take(block, onFrame));
    }
  } finally {
    clearTimeout(watchdog);
    abort.abort();
  }
}

function take(block, onFrame) {
  let kind = "message";
  let id = null;
  let data = "";
  for (const line of block.split("\n")) {
    const cut = line.indexOf(": ");
    const [name, value] = [line.slice(0, cut), line.slice(cut + 2)];
    if (name === "event") kind = value;
    else if (name === "id") id = value;
    else if (name === "data") data += value;
  }
  if (data) onFrame(kind, JSON.parse(data), id);
}

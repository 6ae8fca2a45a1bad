// Drives Chromium over its debugging pipe: arguments are the browser, the page, the folder for pictures.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const partHeight = 1800;
const mostParts = 6;
const [browser, page, folder] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), "report-screens-"));
const child = spawn(
  browser,
  ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--hide-scrollbars",
    `--user-data-dir=${profile}`, "--remote-debugging-pipe", "about:blank"],
  { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
);

let next = 1;
let rest = "";
const waiting = new Map();
const listeners = [];
child.stdio[4].setEncoding("utf8");
child.stdio[4].on("data", (text) => {
  const messages = (rest + text).split("\0");
  rest = messages.pop();
  for (const message of messages.map((m) => JSON.parse(m))) {
    if (message.id) {
      const { resolve, reject } = waiting.get(message.id);
      waiting.delete(message.id);
      message.error ? reject(new Error(message.error.message)) : resolve(message.result);
    } else {
      listeners.forEach((listener) => listener(message));
    }
  }
});
const send = (method, params = {}, sessionId = undefined) =>
  new Promise((resolve, reject) => {
    const id = next++;
    waiting.set(id, { resolve, reject });
    child.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
  });

// Runs in the page: what lies outside of it, and what a box cuts off. Canvases and scrolling boxes are meant to be so.
const findCut = () => {
  const faults = [];
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) faults.push(`the page is ${document.documentElement.scrollWidth} px wide`);
  for (const element of document.querySelectorAll("main *")) {
    if (element.closest(".scroll, .uplot, .track")) continue;
    const box = element.getBoundingClientRect();
    const what = `${element.tagName.toLowerCase()}.${element.className} "${element.textContent.trim().slice(0, 40)}"`;
    if (box.width > 0 && (box.right > width + 1 || box.left < -1)) faults.push(`${what} runs from ${box.left} to ${box.right}`);
    // Inline boxes have no client width.
    if (element.clientWidth > 0 && element.scrollWidth > element.clientWidth + 1) faults.push(`the content of ${what} is wider than it`);
  }
  return faults;
};

const problems = [];
try {
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  const call = (method, params) => send(method, params, sessionId);
  let where = "";
  listeners.push(({ method, params }) => {
    if (method === "Runtime.exceptionThrown") problems.push(`${where}: ${params.exceptionDetails.exception?.description ?? params.exceptionDetails.text}`);
    if (method === "Runtime.consoleAPICalled" && params.type === "error") problems.push(`${where}: ${JSON.stringify(params.args)}`);
    if (method === "Log.entryAdded" && params.entry.level === "error") problems.push(`${where}: ${params.entry.text}`);
    if (method === "Network.requestWillBeSent" && !params.request.url.startsWith("file:")) problems.push(`${where}: asks ${params.request.url}`);
  });
  await Promise.all(["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"].map((method) => call(method)));

  for (const scheme of ["light", "dark", "print"]) {
    for (const width of scheme === "print" ? [760] : [400, 1000, 1600]) {
      where = `${scheme} ${width}`;
      await call("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: false });
      await call("Emulation.setEmulatedMedia", {
        media: scheme === "print" ? "print" : "screen",
        features: [{ name: "prefers-color-scheme", value: scheme === "dark" ? "dark" : "light" }],
      });
      const loaded = new Promise((resolve) => listeners.push(({ method }) => method === "Page.loadEventFired" && resolve()));
      await call("Page.navigate", { url: `file://${page}` });
      await loaded;
      const run = (expression) => call("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
      // Everything is unfolded to be looked through for cuts; on the pictures only the first is, or they would be too long.
      const unfold = (most) => run(`(async () => {
        document.querySelectorAll("details").forEach((d, i) => { d.open = i < ${most}; });
        await new Promise((done) => setTimeout(done, 300));
      })()`);
      await unfold(1e9);
      const { result } = await run(`(${findCut})()`);
      problems.push(...result.value.map((fault) => `${where}: ${fault}`));
      await unfold(1);
      const { cssContentSize } = await call("Page.getLayoutMetrics");
      // Parts of a long page, so that a picture can be looked at.
      const parts = Math.min(mostParts, Math.ceil(cssContentSize.height / partHeight));
      for (let part = 0; part < parts; part++) {
        const y = part * partHeight;
        const clip = { x: 0, y, width, height: Math.min(partHeight, cssContentSize.height - y), scale: 1 };
        const { data } = await call("Page.captureScreenshot", { format: "png", captureBeyondViewport: true, clip });
        writeFileSync(join(folder, `${scheme}-${width}-${part}.png`), Buffer.from(data, "base64"));
      }
      console.log(`${scheme}, ${width} px: ${Math.round(cssContentSize.height)} px high, ${parts} pictures in ${folder}`);
    }
  }
} finally {
  const closed = new Promise((resolve) => child.once("exit", resolve));
  await Promise.race([send("Browser.close").catch(() => child.kill()), new Promise((done) => setTimeout(done, 3000))]);
  child.kill();
  await closed;
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
problems.forEach((problem) => console.error(problem));
process.exit(problems.length > 0 ? 1 : 0);

// The arena's page: a small program without libraries over the API (docs/arena-api.md). What comes
// from users is only ever put in as text, never as HTML.
"use strict";

const main = document.getElementById("main");
let account = null;
try { account = JSON.parse(kept("")); } catch (e) { account = null; }
let watching = null; // AbortController of the stream that is shown
let turn = 0; // counts the pages that were asked for
let newKey = false; // of an account that was made just now: shown without being asked

// ---- small helpers ----

// h("p", {class: "quiet"}, "text", child, [children]): an element. A list may be longer than a call
// has arguments.
function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined) element.append(child);
  }
  return element;
}

function stopWatching() {
  if (watching) watching.abort();
  watching = null;
}

// What a browser that keeps nothing would refuse.
function keep(name, value) {
  try { localStorage.setItem("beaver-arena" + name, value); } catch (e) { /* not kept */ }
}

function kept(name) {
  try { return localStorage.getItem("beaver-arena" + name); } catch (e) { return null; }
}

// An error has `away` when trying again a little later may help by itself.
async function api(path, body) {
  const headers = {};
  if (account) headers.Authorization = "Bearer " + account.key;
  if (body) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch("/api/" + path,
      {method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body)});
  } catch (e) {
    throw Object.assign(new Error("The arena cannot be reached."), {away: true});
  }
  const value = await answer.json().catch(() => ({}));
  if (answer.ok) return value;
  throw Object.assign(new Error(value.error ? value.error.message : "HTTP " + answer.status),
    {away: answer.status >= 502 && answer.status <= 504, status: answer.status});
}

function sleep(ms) {
  return new Promise((wake) => setTimeout(wake, ms));
}

function time(ms) {
  return ms ? new Date(ms).toLocaleString([], {dateStyle: "medium", timeStyle: "short"}) : "";
}

// The time of today, the day of before.
function shortTime(ms) {
  if (!ms) return "";
  const today = new Date(ms).toDateString() === new Date().toDateString();
  const shape = today ? {timeStyle: "short"} : {year: "2-digit", month: "short", day: "numeric"};
  return new Date(ms).toLocaleString([], shape);
}

function errorBox(error) {
  return h("p", {class: "notice error", role: "alert"}, error.message,
    error.status === 401 && account ? h("span", null, " Perhaps this arena is another one: ",
      h("a", {href: "#/account"}, "sign out and in again"), ".") : null);
}

// ---- Markdown: headings, lists in lists, tables, fences; `code`, **bold**, *italic*, [links](url) ----

// Where a link may lead: nowhere but to pages of http and https, as the browser itself reads it.
function isLink(address) {
  try {
    return /^https?:$/.test(new URL(address, location.href).protocol);
  } catch (e) {
    return false;
  }
}

// An image is a link, too: this page shows nothing from elsewhere.
function link(written, text, address) {
  if (!isLink(address)) return written;
  return h("a", {href: address, rel: "noreferrer"}, inline(text || address, true));
}

const INLINE = new RegExp([
  /\\([!-\/:-@[-`{-~])/, // \* is no more than a star
  /`([^`]+)`/,
  /\*\*([^\s*](?:[^*]*[^\s*])?)\*\*|\b__([^\s_](?:[^_]*[^\s_])?)__\b/,
  /\*([^\s*](?:[^*]*[^\s*])?)\*|\b_([^\s_](?:[^_]*[^\s_])?)_\b/,
  /!?\[([^[\]]*)\]\(((?:[^\s()]|\([^\s()]*\))+)(?:\s+"[^"]*")?\)|<(https?:[^\s<>]+)>/,
].map((part) => part.source).join("|"), "g");

function inline(text, linked) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(INLINE)) {
    const [all, plain, code, bold, bold2, italic, italic2, label, address, bare] = found;
    const strong = bold || bold2, emphasis = italic || italic2;
    parts.push(text.slice(at, found.index));
    if (plain) parts.push(plain);
    else if (code) parts.push(h("code", null, code));
    else if (strong) parts.push(h("strong", null, inline(strong, linked)));
    else if (emphasis) parts.push(h("em", null, inline(emphasis, linked)));
    else parts.push(linked ? all : link(all, label, address || bare));
    at = found.index + all.length;
  }
  parts.push(text.slice(at));
  return parts;
}

const ITEM = /^(\s*)(?:[-*+]|(\d{1,9})[.)])\s+/;
const DEPTH_MAX = 8; // of lists in lists; what is deeper is text

function indent(line) {
  return line.length - line.trimStart().length;
}

// The list that begins at lines[at], and where it ends. What is indented belongs to an item: its
// text, or lists and code of its own.
function list(lines, at, depth) {
  const number = ITEM.exec(lines[at])[2];
  const out = number ? h("ol", {start: number === "1" ? null : number}) : h("ul");
  for (let found; at < lines.length && (found = ITEM.exec(lines[at]));) {
    const own = [lines[at++].slice(found[0].length)], inner = found[1].length + 2;
    for (; at < lines.length; at++) {
      const line = lines[at], blank = !line.trim();
      const next = blank ? lines[at + 1] || "" : line;
      if (indent(next) < (blank || ITEM.test(line) ? inner : 1)) break;
      own.push(blank ? "" : line.slice(Math.min(indent(line), found[0].length)));
    }
    out.append(h("li", null, blocks(own, depth + 1)));
  }
  return [out, at];
}

// The cells of a table's row: what stands between its bars but for \|.
function cells(line) {
  const out = [];
  for (const part of line.trim().replace(/^\|/, "").split("|")) {
    const last = out.length - 1;
    if (last >= 0 && out[last].endsWith("\\")) out[last] = out[last].slice(0, -1) + "|" + part;
    else out.push(part);
  }
  if (out.length > 1 && !out[out.length - 1].trim()) out.pop();
  return out.map((cell) => cell.trim());
}

function isTable(line, below) {
  if (!line.includes("|") || !/^[\s|:-]+$/.test(below || "")) return false;
  const marks = cells(below);
  return marks.every((mark) => /^:?-+:?$/.test(mark)) && marks.length === cells(line).length;
}

function table(lines) {
  const head = cells(lines[0]);
  const looks = cells(lines[1]).map((mark) =>
    ({class: !mark.endsWith(":") ? null : mark.startsWith(":") ? "center" : "number"}));
  const row = (name, line) => h("tr", null, cells(line).slice(0, head.length)
    .map((cell, i) => h(name, looks[i], inline(cell))));
  return h("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": "Table"},
    h("table", null, h("thead", null, row("th", lines[0])),
      h("tbody", null, lines.slice(2).map((line) => row("td", line)))));
}

function blocks(lines, depth) {
  const out = [];
  const ends = (i) => !lines[i].trim() || /^(#{1,4}\s|```)/.test(lines[i]) || ITEM.test(lines[i]);
  for (let i = 0; i < lines.length;) {
    const line = lines[i], begin = i;
    const heading = /^(#{1,4})\s+(.*)/.exec(line);
    if (line.startsWith("```")) {
      for (i++; i < lines.length && !lines[i].startsWith("```");) i++;
      out.push(h("pre", null, h("code", null, lines.slice(begin + 1, i++).join("\n"))));
    } else if (heading) {
      out.push(h(heading[1].length < 3 ? "h2" : "h3", null, inline(heading[2])));
      i++;
    } else if (ITEM.test(line) && depth < DEPTH_MAX) {
      const [made, end] = list(lines, i, depth);
      out.push(made);
      i = end;
    } else if (/^ {4}\S/.test(line)) {
      while (i < lines.length && /^( {4}|\s*$)/.test(lines[i])) i++;
      const code = lines.slice(begin, i).map((l) => l.slice(4)).join("\n").trimEnd();
      out.push(h("pre", null, h("code", null, code)));
    } else if (isTable(line, lines[i + 1])) {
      for (i += 2; i < lines.length && !ends(i);) i++;
      out.push(table(lines.slice(begin, i)));
    } else if (line.trim()) {
      i++; // its first line is nothing else, whatever it begins with
      while (i < lines.length && !ends(i) && !isTable(lines[i], lines[i + 1])) i++;
      out.push(h("p", null, inline(lines.slice(begin, i).join(" "))));
    } else {
      i++;
    }
  }
  return out;
}

function markdown(text) {
  return h("div", {class: "statement"}, blocks(text.split(/\r\n?|\n/), 0));
}

// ---- verdicts ----

function verdictText(submission) {
  if (submission.state !== "done") {
    return h("span", {class: "verdict wait pulse"}, submission.state + " …");
  }
  const good = submission.verdict === "accepted";
  return h("span", {class: "verdict " + (good ? "good" : "bad")}, submission.verdict);
}

function testName(test) {
  return (test.visible ? "Example " : "Hidden test ") + test.number;
}

function verdictCard(submission) {
  const detail = submission.detail || {};
  const tests = detail.tests || [];
  const card = h("div", {class: "card"},
    h("div", {class: "row spread"},
      h("span", null, "Submission " + submission.id + ": ", verdictText(submission)),
      submission.state === "done"
        ? h("span", {class: "points"}, submission.score + " / " + submission.points) : null));
  if (tests.length) {
    card.append(h("div", {class: "tests"}, ...tests.map((test) => {
      const good = test.verdict === "accepted", name = testName(test) + ": " + test.verdict;
      return h("i", {class: good ? "pass" : "fail", title: name, role: "img", "aria-label": name},
        good ? "" : "×");
    })), h("p", {class: "quiet"}, detail.passed + " of " + detail.total + " hidden tests passed"));
  }
  const first = tests.find((test) => test.verdict !== "accepted");
  if (first) {
    card.append(h("p", {class: "quiet"}, testName(first) + ": " + first.verdict));
    if (first.message) card.append(h("pre", null, first.message));
  }
  if (detail.message) card.append(h("pre", null, detail.message));
  return card;
}

// Shows what an event stream tells of a submission; true when that was the verdict.
async function readEvents(body, place) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return false;
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const data = text.slice(0, end).split("\n").filter((line) => line.startsWith("data: "));
      if (!data.length) continue;
      const submission = JSON.parse(data.map((line) => line.slice(6)).join("\n"));
      place.replaceChildren(verdictCard(submission));
      if (submission.state === "done") return true;
    }
  }
}

// Reads the event stream by fetch: it can carry the key in a header, EventSource cannot. Goes on
// until there is a verdict, however often the arena is away.
async function watch(id, place) {
  stopWatching();
  watching = new AbortController();
  const signal = watching.signal;
  const lost = h("p", {class: "quiet"}, "The connection was lost; trying again …");
  for (let tries = 0; !signal.aborted; tries++) {
    try {
      const answer = await fetch("/api/submissions/" + id + "/events",
        {headers: {Authorization: "Bearer " + account.key}, signal});
      if (answer.status >= 400 && answer.status < 500 && answer.status !== 429) {
        place.append(errorBox(new Error("Its verdict cannot be followed: HTTP " + answer.status)));
        return; // it will not become another
      }
      if (answer.ok && await readEvents(answer.body, place)) return;
    } catch (error) {
      if (signal.aborted) return;
    }
    place.append(lost);
    await sleep(Math.min(1000 + 500 * tries, 5000));
  }
}

// ---- pages: each puts its content in place with `show`, which is false when another was asked for
// meanwhile ----

async function levelsPage(show) {
  const [{levels}, me] = await Promise.all([
    api("levels"), account ? api("me").catch(() => null) : null]);
  const best = (me && me.levels) || {};
  const mark = (level) => {
    if (!best[level.name]) return null;
    if (best[level.name] >= level.points) return h("span", {class: "good"}, "✓ solved");
    return h("span", {class: "wait"}, best[level.name] + " so far");
  };
  show(h("h1", null, "Levels"),
    h("p", {class: "lead"}, "Write a program that answers what is asked. Hidden tests decide; " +
      "your best score in each level counts."),
    h("div", {class: "grid"}, ...levels.map((level) =>
      h("a", {class: "card", href: "#/level/" + encodeURIComponent(level.name)},
        h("div", {class: "row spread"}, h("h2", null, level.title), mark(level)),
        h("div", {class: "row spread"},
          h("span", {class: "row"}, ...level.languages.map((l) => h("span", {class: "tag"}, l))),
          h("span", {class: "points"}, level.points + " points"))))));
}

function submitForm(level) {
  if (!account) {
    return h("div", {class: "card"}, h("p", null, h("a", {href: "#/account"}, "Sign up"),
      " to submit a solution: a name is all it takes."));
  }
  if (level.deadline_ms && Date.now() > level.deadline_ms) {
    return h("p", {class: "notice"}, "The deadline has passed: " + time(level.deadline_ms) + ".");
  }
  const draft = "-draft-" + level.name;
  const language = h("select", {onchange: () => keep("-language", language.value)},
    ...level.languages.map((l) => h("option", {value: l}, l)));
  if (level.languages.includes(kept("-language"))) language.value = kept("-language");
  const source = h("textarea", {spellcheck: "false", autocapitalize: "off", autocomplete: "off",
    placeholder: "your program", "aria-describedby": "keys",
    oninput: () => keep(draft, source.value)});
  const verdict = h("div", {role: "status", class: "news"});
  let busy = false, leaving = false; // Escape, then Tab, leaves the field
  const file = h("input", {type: "file", hidden: "", onchange: async () => {
    if (file.files[0]) source.value = await file.files[0].text();
    keep(draft, source.value);
    file.value = ""; // so that the same one may be chosen again
  }});
  source.value = kept(draft) || "";
  source.addEventListener("keydown", (event) => {
    const leave = leaving;
    leaving = event.key === "Escape" || (leaving && event.key === "Shift");
    if (event.key !== "Tab" || event.shiftKey || leave) return;
    event.preventDefault();
    source.setRangeText("    ", source.selectionStart, source.selectionEnd, "end");
    keep(draft, source.value);
  });
  const submit = async () => {
    const mine = turn;
    if (busy) return;
    busy = true;
    stopWatching();
    try {
      const made = await api("levels/" + encodeURIComponent(level.name) + "/submissions",
        {language: language.value, source: source.value});
      verdict.replaceChildren(verdictCard(made));
      if (mine === turn) watch(made.id, verdict);
    } catch (error) {
      verdict.replaceChildren(errorBox(error));
    }
    busy = false;
  };
  return h("div", null,
    h("label", null, "Language", language),
    h("label", null, "Program", source), file,
    h("p", {class: "quiet small", id: "keys"}, "Tab indents; Escape, then Tab, leaves the field."),
    h("div", {class: "row"}, h("button", {onclick: submit}, "Submit"),
      h("button", {class: "plain", onclick: () => file.click()}, "From a file …")),
    verdict);
}

async function levelPage(show, name) {
  const level = await api("levels/" + encodeURIComponent(name));
  const left = h("div", null, h("h1", null, level.title),
    h("p", {class: "quiet"}, [level.points + " points"].concat(
      level.limits ? [level.limits.cpu_seconds + " s of CPU time",
        Math.round(level.limits.memory_bytes / 1e6) + " MB of memory"] : [],
      level.deadline_ms ? ["until " + time(level.deadline_ms)] : []).join(" · ")),
    markdown(level.statement));
  for (const [i, example] of level.examples.entries()) {
    left.append(h("h3", null, "Example " + (i + 1)),
      h("div", {class: "example"},
        h("div", null, h("span", null, "input"), h("pre", null, example.input)),
        example.output === null ? null
          : h("div", null, h("span", null, "output"), h("pre", null, example.output))));
  }
  show(h("div", {class: "split"}, left, submitForm(level)));
}

function scoreboardRow(user, levels, own) {
  return h("tr", {class: own ? "me" : null},
    h("td", {class: "number"}, user.rank),
    h("td", {class: "name", title: user.name}, user.name),
    h("td", {class: "number points"}, user.points),
    h("td", null, h("span", {class: "tag"}, user.kind)),
    ...levels.map((level) => {
      const score = user.levels[level.name];
      const look = score >= level.points ? " good" : score === 0 ? " quiet" : "";
      return h("td", {class: "number" + look}, score === undefined ? "" : score);
    }),
    h("td", {class: "quiet", title: time(user.last_ms)}, shortTime(user.last_ms)));
}

// The first ones, and one's own row wherever it stands.
async function scoreboardPage(show) {
  const [{users, count, me}, {levels}] = await Promise.all([api("scoreboard"), api("levels")]);
  const rows = users.map((user) =>
    scoreboardRow(user, levels, me && user.rank === me.rank && user.name === me.name));
  if (me && me.rank > users.length) {
    rows.push(h("tr", null, h("td", {class: "quiet", colspan: 5 + levels.length}, "⋮")),
      scoreboardRow(me, levels, true));
  }
  const head = (text, attributes) => h("th", {scope: "col", ...attributes}, text);
  show(h("h1", null, "Scoreboard"),
    h("p", {class: "lead"}, "People and models side by side: the best score of each in each " +
      "level (the numbers lead to them)." +
      (count > users.length ? " The first " + users.length + " of " + count + "." : "") +
      (me ? " You are number " + me.rank + "." : "")),
    users.length ? h("div", {class: "card scroll", tabindex: "0", role: "region",
      "aria-label": "Scoreboard"}, h("table", null,
      h("thead", null, h("tr", null, head("#", {class: "number"}), head("Name"),
        head("Points", {class: "number"}), head("Kind"),
        ...levels.map((level, i) => {
          const name = level.title + ", " + level.points + " points";
          return head(h("a", {href: "#/level/" + encodeURIComponent(level.name), title: name,
            "aria-label": name}, i + 1), {class: "number"});
        }),
        head("Last rise"))),
      h("tbody", null, ...rows))) : h("p", {class: "quiet"}, "Nobody has a score yet."));
}

// While some are not judged, it is looked at again, unless the keyboard is in it.
async function submissionsPage(show) {
  if (!account) return accountPage(show);
  const {submissions} = await api("submissions");
  const shown = show(h("h1", null, "My submissions"),
    submissions.length === 50 ? h("p", {class: "lead"}, "The newest 50.") : null,
    submissions.length ? h("div", {class: "card scroll", tabindex: "0", role: "region",
      "aria-label": "My submissions"}, h("table", null,
      h("thead", null, h("tr", null, ...["#", "Level", "Language", "Verdict", "Score", "Handed in"]
        .map((title) => h("th", {scope: "col"}, title)))),
      h("tbody", null, ...submissions.map((s) => h("tr", null,
        h("td", null, h("a", {href: "#/submission/" + s.id}, s.id)),
        h("td", null, s.level), h("td", null, s.language), h("td", null, verdictText(s)),
        h("td", null, s.state === "done" ? s.score + " / " + s.points : ""),
        h("td", {class: "quiet"}, time(s.created_ms)))))))
      : h("p", {class: "quiet"}, "None yet."));
  if (!shown || submissions.every((s) => s.state === "done")) return;
  const page = turn;
  sleep(2000).then(() => {
    const used = document.activeElement && document.activeElement.closest("table");
    if (page === turn && !used) route();
  });
}

async function submissionPage(show, id) {
  const submission = await api("submissions/" + id);
  const place = h("div", {role: "status"}, verdictCard(submission));
  const shown = show(h("h1", null, h("a", {href: "#/level/" + encodeURIComponent(submission.level)},
    submission.level)), place,
    h("h2", null, "Program (" + submission.language + ")"),
    h("pre", null, submission.source || ""));
  if (shown && submission.state !== "done") watch(id, place);
}

function ownAccountPage(show) {
  const key = h("code", {class: "key"}, newKey ? account.key : "•".repeat(20));
  const copied = h("span", {class: "quiet", role: "status"});
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(account.key);
      copied.replaceChildren("copied");
    } catch (e) { // only pages that came by https, or from this machine, may copy
      key.replaceChildren(account.key);
      getSelection().selectAllChildren(key);
      copied.replaceChildren("marked: copy it by hand");
    }
  };
  const signOut = () => {
    keep("", "null");
    account = null;
    route();
  };
  show(h("h1", null, account.name),
    h("p", {class: "lead"}, (newKey ? "Welcome! " : "Signed in on this browser. ") + "The key is " +
      "your password: keep it. It is shown nowhere else, and nobody can make you another."),
    h("div", {class: "card"}, h("p", null, "Key: ", key),
      h("div", {class: "row"},
        h("button", {class: "plain", onclick: () => key.replaceChildren(account.key)}, "Show"),
        h("button", {class: "plain", onclick: copy}, "Copy"),
        h("button", {class: "plain", onclick: signOut}, "Sign out"), copied)));
  newKey = false;
}

function accountPage(show) {
  if (account) return ownAccountPage(show);
  const message = h("div");
  const name = h("input", {type: "text", maxlength: "40", autocomplete: "nickname"});
  const kind = h("select", null, h("option", {value: "person"}, "a person"),
    h("option", {value: "model"}, "a model"));
  const old = h("input", {type: "password", autocomplete: "current-password"});
  const attempt = (work) => async (event) => {
    event.preventDefault();
    try {
      const {name, key} = await work();
      account = {name, key};
      keep("", JSON.stringify(account));
      route();
    } catch (error) {
      account = null;
      message.replaceChildren(errorBox(error));
    }
  };
  const signUp = attempt(async () => {
    const made = await api("users", {name: name.value.trim(), kind: kind.value});
    newKey = true;
    return made;
  });
  const signIn = attempt(async () => {
    const given = old.value.trim();
    // A header would not take it, and the browser says no more than that it was not sent.
    if (!/^[!-~]+$/.test(given)) {
      throw new Error("That is no key: one is \"bv-\" and 64 digits and letters from a to f.");
    }
    account = {key: given};
    return {name: (await api("me")).name, key: account.key};
  });
  show(h("h1", null, "Take part"), message, h("div", {class: "split"},
    h("form", {class: "card", onsubmit: signUp}, h("h2", null, "New here"),
      h("label", null, "Name, as the scoreboard shows it", name),
      h("label", null, "I am", kind), h("p"), h("button", null, "Sign up")),
    h("form", {class: "card", onsubmit: signIn}, h("h2", null, "I have a key"),
      h("label", null, "Key", old), h("p"), h("button", {class: "plain"}, "Sign in"))));
}

// ---- routes ----

// What a reader hears of, and where the keyboard goes on, is the new page.
function announce(moved) {
  const heading = main.querySelector("h1");
  document.title = (heading ? heading.textContent + " · " : "") + "Beaver Arena";
  if (!moved || !heading) return;
  heading.tabIndex = -1;
  heading.focus();
}

function showHere(page) {
  document.getElementById("who").textContent = account ? account.name : "Sign up";
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.dataset.page === (page || "levels") ||
      (page === "level" && link.dataset.page === "levels") ||
      (page === "submission" && link.dataset.page === "submissions");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

async function route(event) {
  const mine = ++turn;
  const show = (...children) => {
    if (mine !== turn) return false;
    stopWatching();
    main.replaceChildren(...children.filter((child) => child !== null));
    announce(event);
    return true;
  };
  const [page, argument] = location.hash.replace(/^#\//, "").split("/");
  const pages = new Map([["", levelsPage], ["level", levelPage], ["scoreboard", scoreboardPage],
    ["submissions", submissionsPage], ["submission", submissionPage], ["account", accountPage]]);
  showHere(page);
  for (let tries = 0; mine === turn; tries++) {
    try {
      await (pages.get(page) || levelsPage)(show, argument && decodeURIComponent(argument));
      return;
    } catch (error) {
      const again = h("p", {class: "quiet"}, "Trying again …");
      show(errorBox(error), error.away ? again : null);
      if (!error.away) return;
    }
    await sleep(Math.min(1000 + 1000 * tries, 10000));
  }
}
window.addEventListener("hashchange", route);
route();

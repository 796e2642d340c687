// The arena's page: a small program without libraries over the API (docs/arena-api.md). What comes
// from users is only ever put in as text, never as HTML.
"use strict";

const main = document.getElementById("main");
let account = null;
try { account = JSON.parse(kept("")); } catch (e) { account = null; }
let watching = null; // AbortController of the stream that is shown
let turn = 0; // counts the pages that were asked for

// ---- small helpers ----

// h("p", {class: "quiet"}, "text", child): an element.
function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
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

async function api(path, body) {
  const headers = {};
  if (account) headers.Authorization = "Bearer " + account.key;
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch("/api/" + path,
    {method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body)});
  const value = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(value.error ? value.error.message : "HTTP " + answer.status);
  return value;
}

function time(ms) {
  return ms ? new Date(ms).toLocaleString([], {dateStyle: "medium", timeStyle: "short"}) : "";
}

function errorBox(error) {
  return h("p", {class: "notice error"}, error.message);
}

// ---- Markdown: headings, lists, fences, and `code`, **bold**, *italic* in lines ----

function inline(text) {
  const parts = [];
  const pattern = /`([^`]+)`|\*\*([^\s*](?:[^*]*[^\s*])?)\*\*|\*([^\s*](?:[^*]*[^\s*])?)\*/g;
  let at = 0;
  for (const found of text.matchAll(pattern)) {
    parts.push(text.slice(at, found.index));
    if (found[1]) parts.push(h("code", null, found[1]));
    else if (found[2]) parts.push(h("strong", null, found[2]));
    else parts.push(h("em", null, found[3]));
    at = found.index + found[0].length;
  }
  parts.push(text.slice(at));
  return parts;
}

function markdown(text) {
  const out = h("div", {class: "statement"});
  const lines = text.split("\n");
  for (let i = 0; i < lines.length;) {
    const line = lines[i];
    const heading = /^(#{1,4})\s+(.*)/.exec(line);
    const item = /^\s*(?:[-*]|\d+[.)])\s+/;
    if (line.startsWith("```")) {
      const code = [];
      for (i++; i < lines.length && !lines[i].startsWith("```"); i++) code.push(lines[i]);
      i++;
      out.append(h("pre", null, h("code", null, code.join("\n"))));
    } else if (heading) {
      out.append(h(heading[1].length < 3 ? "h2" : "h3", null, ...inline(heading[2])));
      i++;
    } else if (item.test(line)) {
      const list = h(/^\s*\d/.test(line) ? "ol" : "ul");
      while (i < lines.length && item.test(lines[i])) {
        let entry = lines[i++].replace(item, "");
        while (i < lines.length && /^\s+\S/.test(lines[i]) && !item.test(lines[i])) {
          entry += " " + lines[i++].trim();
        }
        list.append(h("li", null, ...inline(entry)));
      }
      out.append(list);
    } else if (/^ {4}\S/.test(line)) {
      const code = [];
      for (; i < lines.length && /^( {4}|\s*$)/.test(lines[i]); i++) code.push(lines[i].slice(4));
      out.append(h("pre", null, h("code", null, code.join("\n").trimEnd())));
    } else if (line.trim()) {
      const paragraph = [];
      for (; i < lines.length && lines[i].trim() && !/^(#|```)/.test(lines[i]) &&
             !(paragraph.length && item.test(lines[i])); i++) paragraph.push(lines[i]);
      out.append(h("p", null, ...inline(paragraph.join(" "))));
    } else {
      i++;
    }
  }
  return out;
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
    card.append(h("div", {class: "tests"}, ...tests.map((test) => h("i", {
      class: test.verdict === "accepted" ? "pass" : "fail",
      title: testName(test) + ": " + test.verdict}))),
      h("p", {class: "quiet"}, detail.passed + " of " + detail.total + " hidden tests passed"));
  }
  const first = tests.find((test) => test.verdict !== "accepted");
  if (first) {
    card.append(h("p", {class: "quiet"}, testName(first) + ": " + first.verdict));
    if (first.message) card.append(h("pre", null, first.message));
  }
  if (detail.message) card.append(h("pre", null, detail.message));
  return card;
}

// Reads the event stream by fetch: it can carry the key in a header, EventSource cannot.
async function watch(id, place) {
  stopWatching();
  watching = new AbortController();
  const signal = watching.signal;
  for (let tries = 0; tries < 100 && !signal.aborted; tries++) {
    try {
      const answer = await fetch("/api/submissions/" + id + "/events",
        {headers: {Authorization: "Bearer " + account.key}, signal});
      if (answer.status >= 400 && answer.status < 500) return; // it will not become another
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const {value, done} = await reader.read();
        if (done) break;
        text += value;
        for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
          const data = text.slice(0, end).split("\n").filter((line) => line.startsWith("data: "));
          if (!data.length) continue;
          const submission = JSON.parse(data.map((line) => line.slice(6)).join("\n"));
          place.replaceChildren(verdictCard(submission));
          if (submission.state === "done") return;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
    }
    await new Promise((wake) => setTimeout(wake, 1000));
  }
}

// ---- pages: each puts its content in place with `show`, which is false when another was asked for
// meanwhile ----

async function levelsPage(show) {
  const [{levels}, mine] = await Promise.all([
    api("levels"), account ? api("submissions").catch(() => null) : null]);
  const solved = new Set(((mine && mine.submissions) || [])
    .filter((s) => s.verdict === "accepted").map((s) => s.level));
  show(h("h1", null, "Levels"),
    h("p", {class: "lead"}, "Write a program that answers what is asked. Hidden tests decide; " +
      "your best score in each level counts."),
    h("div", {class: "grid"}, ...levels.map((level) =>
      h("a", {class: "card", href: "#/level/" + encodeURIComponent(level.name)},
        h("div", {class: "row spread"}, h("h3", null, level.title),
          solved.has(level.name) ? h("span", {class: "good"}, "✓ solved") : null),
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
  const source = h("textarea", {spellcheck: "false", placeholder: "your program",
    oninput: () => keep(draft, source.value)});
  const verdict = h("div");
  const file = h("input", {type: "file", hidden: "", onchange: async () => {
    if (file.files[0]) source.value = await file.files[0].text();
    keep(draft, source.value);
    file.value = ""; // so that the same one may be chosen again
  }});
  source.value = kept(draft) || "";
  source.addEventListener("keydown", (event) => {
    if (event.key !== "Tab" || event.shiftKey) return;
    event.preventDefault();
    source.setRangeText("    ", source.selectionStart, source.selectionEnd, "end");
  });
  const button = h("button", {onclick: async () => {
    const mine = turn;
    button.disabled = true;
    stopWatching();
    try {
      const made = await api("levels/" + encodeURIComponent(level.name) + "/submissions",
        {language: language.value, source: source.value});
      verdict.replaceChildren(verdictCard(made));
      if (mine === turn) watch(made.id, verdict);
    } catch (error) {
      verdict.replaceChildren(errorBox(error));
    }
    button.disabled = false;
  }}, "Submit");
  return h("div", null, verdict,
    h("label", null, "Language", language),
    h("label", null, "Program", source), file,
    h("div", {class: "row"}, button,
      h("button", {class: "plain", onclick: () => file.click()}, "From a file …")));
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
        h("div", null, h("span", null, "output"), h("pre", null, example.output))));
  }
  show(h("div", {class: "split"}, left, submitForm(level)));
}

async function scoreboardPage(show) {
  const [{users}, {levels}] = await Promise.all([api("scoreboard"), api("levels")]);
  const own = account && account.name;
  const rows = users.map((user) => h("tr", {class: user.name === own ? "me" : null},
    h("td", {class: "number"}, user.rank),
    h("td", {class: "name", title: user.name}, user.name),
    h("td", {class: "number points"}, user.points),
    h("td", null, h("span", {class: "tag"}, user.kind)),
    ...levels.map((level) => {
      const score = user.levels[level.name];
      const full = score === level.points;
      return h("td", {class: "number" + (full ? " good" : "")}, score === undefined ? "" : score);
    }),
    h("td", {class: "quiet"}, time(user.last_ms))));
  show(h("h1", null, "Scoreboard"),
    h("p", {class: "lead"}, "People and models side by side: the best score of each in each level " +
      "(the numbers lead to them)."),
    users.length ? h("div", {class: "card scroll"}, h("table", null,
      h("thead", null, h("tr", null, h("th", {class: "number"}, "#"), h("th", null, "Name"),
        h("th", {class: "number"}, "Points"), h("th", null, ""),
        ...levels.map((level, i) =>
          h("th", {class: "number"}, h("a", {href: "#/level/" + encodeURIComponent(level.name),
            title: level.title + ", " + level.points + " points"}, i + 1))),
        h("th", null, "Last rise"))),
      h("tbody", null, ...rows))) : h("p", {class: "quiet"}, "Nobody has a score yet."));
}

async function submissionsPage(show) {
  if (!account) return accountPage(show);
  const {submissions} = await api("submissions");
  show(h("h1", null, "My submissions"),
    submissions.length ? h("div", {class: "card scroll"}, h("table", null,
      h("thead", null, h("tr", null, ...["#", "Level", "Language", "Verdict", "Score", "Handed in"]
        .map((title) => h("th", null, title)))),
      h("tbody", null, ...submissions.map((s) => h("tr", null,
        h("td", null, h("a", {href: "#/submission/" + s.id}, s.id)),
        h("td", null, s.level), h("td", null, s.language), h("td", null, verdictText(s)),
        h("td", null, s.state === "done" ? s.score + " / " + s.points : ""),
        h("td", {class: "quiet"}, time(s.created_ms)))))))
      : h("p", {class: "quiet"}, "None yet."));
}

async function submissionPage(show, id) {
  const submission = await api("submissions/" + id);
  const place = h("div", null, verdictCard(submission));
  const shown = show(h("h1", null, submission.level), place,
    h("h2", null, "Program (" + submission.language + ")"),
    h("pre", null, submission.source || ""));
  if (shown && submission.state !== "done") watch(id, place);
}

function accountPage(show) {
  const message = h("div");
  if (account) {
    const key = h("code", null, "•".repeat(20));
    show(h("h1", null, account.name), h("p", {class: "lead"}, "Signed in on this browser. The key " +
      "is your password: keep it, it is shown nowhere else."),
      h("div", {class: "card"}, h("p", null, "Key: ", key),
        h("div", {class: "row"},
          h("button", {class: "plain", onclick: () => key.replaceChildren(account.key)}, "Show"),
          h("button", {class: "plain", onclick: () => {
            keep("", "null");
            account = null;
            route();
          }}, "Sign out"))));
    return;
  }
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
  const signUp = attempt(() => api("users", {name: name.value.trim(), kind: kind.value}));
  const signIn = attempt(async () => {
    account = {key: old.value.trim()};
    return {name: (await api("me")).name, key: account.key};
  });
  show(h("h1", null, "Take part"), message, h("div", {class: "split"},
    h("form", {class: "card", onsubmit: signUp}, h("h3", null, "New here"),
      h("label", null, "Name, as the scoreboard shows it", name),
      h("label", null, "I am", kind), h("p"), h("button", null, "Sign up")),
    h("form", {class: "card", onsubmit: signIn}, h("h3", null, "I have a key"),
      h("label", null, "Key", old), h("p"), h("button", {class: "plain"}, "Sign in"))));
}

// ---- routes ----

async function route() {
  const mine = ++turn;
  const show = (...children) => {
    if (mine !== turn) return false;
    stopWatching();
    main.replaceChildren(...children);
    return true;
  };
  const [page, argument] = location.hash.replace(/^#\//, "").split("/");
  const pages = {"": levelsPage, level: levelPage, scoreboard: scoreboardPage,
    submissions: submissionsPage, submission: submissionPage, account: accountPage};
  document.getElementById("who").textContent = account ? account.name : "Sign up";
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.dataset.page === (page || "levels") ||
      (page === "level" && link.dataset.page === "levels") ||
      (page === "submission" && link.dataset.page === "submissions");
    link.classList.toggle("here", here);
  }
  try {
    await (pages[page] || levelsPage)(show, argument && decodeURIComponent(argument));
  } catch (error) {
    show(errorBox(error));
  }
}
window.addEventListener("hashchange", route);
route();

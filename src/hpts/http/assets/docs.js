// Renders /v1/openapi.json into the frame of docs.html, and sends the requests of its forms.
// Everything reaches the page as text or as attributes of created elements, never as markup.
// The token lives in this module's memory, and in its input, for as long as the page does.

const DOCUMENT_URL = "/v1/openapi.json";
const METHODS = ["get", "post", "put", "patch", "delete"];
const REQUEST_TIMEOUT_MS = 30_000;
const JSON_TYPE = "application/json";
const KEY_HEADER = "idempotency-key";
const PATTERN_SAMPLES = ["10000", "1100", "USD", "a1b2c3d", "example-1"];

let api;
let base;
let token = "";

// ---- elements and text

function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter(Boolean));
  return element;
}

const code = (text) => el("code", {}, String(text));

function inline(text) {
  return text.split("`").map((part, index) => (index % 2 ? code(part) : part));
}

function markdown(text) {
  return (text ?? "").trim().split(/\n\s*\n/).filter(Boolean).map((block) => {
    if (!/^\s*[*-]\s/.test(block)) return el("p", {}, inline(block));
    const items = block.split(/^\s*[*-]\s+/m).filter((item) => item.trim());
    return el("ul", {}, items.map((item) => el("li", {}, inline(item.trim()))));
  });
}

function table(headings, rows) {
  return el("table", {},
    el("thead", {}, el("tr", {}, headings.map((heading) => el("th", { scope: "col" }, heading)))),
    el("tbody", {}, rows.map(([first, ...rest]) =>
      el("tr", {}, el("th", { scope: "row" }, first), rest.map((cell) => el("td", {}, cell))))));
}

function codeBlock(label, text) {
  const body = el("code", {}, text);
  const said = el("span", { role: "status", class: "said" });
  const button = el("button", { type: "button", "aria-label": `Copy: ${label}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(body.textContent);
      said.textContent = "Copied";
    } catch { // No clipboard outside a secure context: leave the text selected.
      getSelection().selectAllChildren(body);
      said.textContent = "Selected; press Ctrl+C";
    }
    setTimeout(() => { said.textContent = ""; }, 2500);
  });
  const block = el("figure", { class: "code" },
    el("figcaption", {}, label, said, button),
    el("pre", { tabindex: "0", role: "region", "aria-label": label }, body));
  return { block, body };
}

// ---- schemas

const nameOf = (node) => node?.$ref?.split("/").pop();

function resolve(node) {
  let found = node ?? {};
  while (found.$ref) {
    const { $ref, ...beside } = found;
    const steps = $ref.replace(/^#\//, "").split("/");
    const target = steps.reduce((at, step) => at?.[step.replaceAll("~1", "/").replaceAll("~0", "~")], api);
    found = { ...target, ...beside };
  }
  return found;
}

function typeText(schema) {
  if (schema.type === "array") return `array of ${typeText(resolve(schema.items))}`;
  const type = [schema.type ?? "any"].flat().join(" or ");
  return schema.format ? `${type} (${schema.format})` : type;
}

function rangeText(low, high, unit) {
  if (low === undefined && high === undefined) return undefined;
  const span = low === high ? `exactly ${low}`
    : low === undefined ? `at most ${high}`
      : high === undefined ? `at least ${low}` : `${low} to ${high}`;
  return unit ? `${span} ${unit}` : span;
}

function facts(schema) {
  const codes = (values) => values.map((value) => [code(value), " "]);
  const all = [
    ["one of", schema.enum && codes(schema.enum)],
    ["always", schema.const !== undefined && code(schema.const)],
    ["default", schema.default !== undefined && code(schema.default)],
    ["length", rangeText(schema.minLength, schema.maxLength)],
    ["value", rangeText(schema.minimum, schema.maximum)],
    ["size", rangeText(schema.minItems, schema.maxItems, "items")],
    ["pattern", schema.pattern && code(schema.pattern)],
    ["example", schema.examples && codes(schema.examples.slice(0, 1))],
  ].filter(([, value]) => value);
  return all.length
    ? el("ul", { class: "facts" }, all.map(([label, value]) => el("li", {}, `${label} `, value)))
    : undefined;
}

function valueCell(schema, description) {
  const text = description ?? schema.description;
  return [el("span", { class: "type" }, typeText(schema)), markdown(text), facts(schema)];
}

const required = () => el("span", { class: "tag required" }, "required");
const deprecated = () => el("span", { class: "tag" }, "deprecated");

/** The fields of an object, or of an array's items, nested; nothing for a scalar. */
function fields(node, seen = []) {
  const schema = resolve(node);
  const name = nameOf(node);
  if (name && seen.includes(name)) return el("p", { class: "muted" }, "as ", code(name), " above");
  const within = name ? [...seen, name] : seen;
  if (schema.items) return fields(schema.items, within);
  const rows = Object.entries(schema.properties ?? {});
  const rest = schema.additionalProperties;
  if (rest && typeof rest === "object") rows.push(["{any name}", rest]);
  const list = rows.map(([field, child]) => {
    const value = resolve(child);
    return el("li", {},
      code(field), " ", schema.required?.includes(field) && required(), " ",
      value.deprecated && deprecated(), " ", valueCell(value), fields(child, within));
  });
  const closing = rest === false ? "No other fields." : rest === true && rows.length ? "Other fields may follow." : "";
  return list.length
    ? [el("ul", { class: "fields" }, list), closing && el("p", { class: "muted" }, closing)]
    : undefined;
}

function bodyPart(content) {
  return Object.entries(content ?? {}).map(([mediaType, { schema }]) => {
    const name = nameOf(schema);
    const label = el("p", { class: "media" }, code(mediaType), " ",
      name === "Problem" ? el("a", { href: "#Problem" }, name) : name ?? typeText(resolve(schema)));
    return name === "Problem" ? label : [label, markdown(resolve(schema).description), fields(schema)];
  });
}

// ---- samples

const sampleUuids = new Map();

/** One UUID per field name, so that a loan_id is the same loan in every sample of the page. */
function sampleUuid(name) {
  if (!sampleUuids.has(name)) sampleUuids.set(name, sampleUuids.size + 1);
  return `00000000-0000-4000-8000-${String(sampleUuids.get(name)).padStart(12, "0")}`;
}

function sampleText(schema, name) {
  const now = new Date().toISOString();
  if (schema.format === "uuid") return sampleUuid(name);
  if (schema.format === "date") return now.slice(0, 10);
  if (schema.format === "date-time") return now;
  const fits = (text) => (!schema.pattern || new RegExp(schema.pattern).test(text))
    && text.length >= (schema.minLength ?? 0) && text.length <= (schema.maxLength ?? Infinity);
  return (schema.pattern ? PATTERN_SAMPLES : ["example"]).find(fits) ?? "";
}

function sample(node, name = "", depth = 0) {
  const schema = resolve(node);
  const [example] = schema.examples ?? [];
  const given = example ?? schema.const ?? schema.default ?? schema.enum?.[0];
  if (given !== undefined || depth > 8) return given ?? null;
  switch ([schema.type].flat()[0]) {
    case "object":
      return Object.fromEntries(Object.entries(schema.properties ?? {})
        .map(([field, child]) => [field, sample(child, field, depth + 1)]));
    case "array":
      return Array.from({ length: Math.max(1, schema.minItems ?? 0) },
        () => sample(schema.items, name, depth + 1));
    case "integer":
    case "number":
      return schema.minimum ?? 1;
    case "boolean":
      return true;
    default:
      return sampleText(schema, name);
  }
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `docs:${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

const pretty = (value) => JSON.stringify(value, null, 2);

// ---- one operation

function parametersPart(parameters) {
  if (!parameters.length) return undefined;
  const rows = parameters.map((parameter) => [
    [code(parameter.name), " ", parameter.required && required(), " ",
      parameter.deprecated && deprecated()],
    parameter.in,
    valueCell(resolve(parameter.schema), parameter.description),
  ]);
  return [el("h4", {}, "Parameters"), table(["Name", "In", "Value"], rows)];
}

function requestBodyPart(operation) {
  const body = operation.requestBody && resolve(operation.requestBody);
  if (!body) return undefined;
  return [el("h4", {}, "Request body ", body.required && required()), bodyPart(body.content)];
}

function responsesPart(operation) {
  const entries = Object.entries(operation.responses ?? {})
    .map(([status, response]) => [status, resolve(response)]);
  const rows = entries.map(([status, response]) => {
    const headers = Object.entries(response.headers ?? {}).map(([name, header]) => {
      const { schema, description } = resolve(header);
      return [code(name), valueCell(resolve(schema), description)];
    });
    const title = [el("span", { class: `status s${status[0]}` }, status), " ", inline(response.description)];
    if (!headers.length && !response.content) return el("p", { class: "response" }, title);
    return el("details", { class: "response" }, el("summary", {}, title),
      headers.length > 0 && table(["Header", "Value"], headers), bodyPart(response.content));
  });
  return [el("h4", {}, "Responses"), rows];
}

function scopesOf(operation) {
  const alternatives = operation.security ?? api.security ?? [];
  return alternatives.flatMap((alternative) => Object.values(alternative).flat());
}

const needsToken = (operation) => (operation.security ?? api.security ?? []).length > 0;

function scopeLine(operation) {
  if (!needsToken(operation)) return el("p", { class: "scope" }, "No token needed.");
  const scopes = scopesOf(operation);
  return el("p", { class: "scope" }, el("a", { href: "#authentication" }, "Scope"), ": ",
    scopes.length ? scopes.map((scope) => [code(scope), " "]) : "any valid token");
}

function methodBadge(method) {
  return el("span", { class: `method ${method}` }, method.toUpperCase());
}

/** A path with a place to break before every slash. */
function pathCode(path) {
  return el("code", {}, path.split(/(?=\/)/).map((step) => [el("wbr"), step]));
}

function operationSection({ id, method, path, operation, webhook }) {
  const parameters = (operation.parameters ?? []).map(resolve);
  return el("section", { class: "operation", id, tabindex: "-1", "aria-labelledby": `${id}-title` },
    el("h3", { id: `${id}-title` },
      el("a", { href: `#${id}`, class: "anchor" }, methodBadge(method), " ", pathCode(path))),
    el("p", { class: "summary" }, inline(operation.summary ?? "")),
    markdown(operation.description),
    operation.deprecated && el("p", {}, deprecated()),
    !webhook && scopeLine(operation),
    parametersPart(parameters),
    requestBodyPart(operation),
    responsesPart(operation),
    webhook ? payloadPart(operation) : tryPart({ id, method, path, operation, parameters }));
}

function payloadPart(operation) {
  const schema = resolve(operation.requestBody)?.content?.[JSON_TYPE]?.schema;
  return schema && codeBlock("Sample delivery", pretty(sample(schema))).block;
}

// ---- the curl example and the form that sends

function input(id, parameter) {
  const schema = resolve(parameter.schema);
  const isKey = parameter.name.toLowerCase() === KEY_HEADER;
  const value = isKey ? newKey() : parameter.required ? String(sample(schema, parameter.name)) : "";
  if (schema.enum) {
    return el("select", { id }, !parameter.required && el("option", { value: "" }, "(not sent)"),
      schema.enum.map((choice) => el("option", { value: choice, selected: choice === value }, choice)));
  }
  return el("input", {
    id, value, type: "text", autocomplete: "off", spellcheck: "false",
    required: parameter.in === "path",
    placeholder: schema.default !== undefined ? String(schema.default) : undefined,
  });
}

function tokenInput(id) {
  return el("input", {
    id, type: "text", class: "token", value: token, autocomplete: "off", spellcheck: "false",
    oninput: ({ target }) => {
      token = target.value.trim().replace(/^Bearer\s+/i, "");
      for (const other of document.querySelectorAll("input.token")) {
        if (other !== target) other.value = token;
      }
    },
  });
}

const labelled = (id, text, ...controls) => el("div", { class: "row" }, el("label", { for: id }, text), ...controls);

function parameterRow(id, parameter, control) {
  const isKey = parameter.name.toLowerCase() === KEY_HEADER;
  return labelled(id, [code(parameter.name), " ", parameter.required && required()], control,
    isKey && el("button", {
      type: "button",
      onclick: () => {
        control.value = newKey();
        control.dispatchEvent(new Event("input", { bubbles: true }));
      },
    }, "New key"));
}

/** What the form's fields say now: a method, a URL, headers without the token, a body. */
function readRequest({ method, path }, controls, bodyControl) {
  const query = new URLSearchParams();
  const headers = {};
  let filled = path;
  for (const { parameter, control } of controls) {
    const value = control.value;
    if (parameter.in === "path") filled = filled.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value === "") continue;
    else if (parameter.in === "query") query.append(parameter.name, value);
    else if (parameter.in === "header") headers[parameter.name] = value;
  }
  if (bodyControl) headers["Content-Type"] = JSON_TYPE;
  const search = query.size ? `?${query}` : "";
  return { method: method.toUpperCase(), url: base + filled + search, headers, body: bodyControl?.value };
}

function curlText(request, withToken) {
  const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const verb = request.method === "GET" ? "" : `-X ${request.method} `;
  const lines = [`curl -i ${verb}${quote(request.url)}`];
  if (withToken) lines.push('-H "Authorization: Bearer $TOKEN"');
  for (const [name, value] of Object.entries(request.headers)) lines.push(`-H ${quote(`${name}: ${value}`)}`);
  if (request.body !== undefined) lines.push(`--data-raw ${quote(request.body)}`);
  return lines.join(" \\\n  ");
}

function tryPart({ id, method, path, operation, parameters }) {
  const withToken = needsToken(operation);
  const schema = resolve(operation.requestBody)?.content?.[JSON_TYPE]?.schema;
  const controls = parameters.map((parameter) => (
    { parameter, control: input(`${id}-${parameter.in}-${parameter.name}`, parameter) }));
  const text = schema && pretty(sample(schema));
  const bodyControl = schema && el("textarea", {
    id: `${id}-body`, rows: Math.min(text.split("\n").length + 1, 20), spellcheck: "false", autocomplete: "off",
  }, text);
  const read = () => readRequest({ method, path }, controls, bodyControl);
  const curl = codeBlock("curl", curlText(read(), withToken));
  const answer = el("div", { class: "answer" });
  const line = el("p", { role: "status" });
  const button = el("button", { type: "submit", class: "send" }, "Send");
  const form = el("form", {
    autocomplete: "off",
    oninput: () => { curl.body.textContent = curlText(read(), withToken); },
    onsubmit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      line.textContent = "Sending…";
      answer.replaceChildren();
      const result = await send(read(), withToken);
      line.textContent = result.line;
      answer.replaceChildren(...result.parts);
      button.disabled = false;
    },
  },
  el("p", { class: "muted" }, method === "get"
    ? `Sends a real request to ${location.origin}.`
    : `Sends a real request to ${location.origin}; what it posts stays in the ledger.`),
  withToken && labelled(`${id}-token`, "Token (kept in memory only)", tokenInput(`${id}-token`)),
  controls.map(({ parameter, control }) => parameterRow(control.id, parameter, control)),
  bodyControl && labelled(`${id}-body`, "Body", bodyControl),
  button, line, answer);
  return [curl.block, el("details", { class: "try" }, el("summary", {}, "Try it"), form)];
}

async function send({ method, url, headers, body }, withToken) {
  const started = performance.now();
  try {
    const authorization = withToken && token ? { Authorization: `Bearer ${token}` } : {};
    const response = await fetch(url, {
      method, body, headers: { ...headers, ...authorization }, cache: "no-store", credentials: "omit",
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const text = await response.text();
    const took = Math.round(performance.now() - started);
    const received = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    return {
      line: `${response.status} ${response.statusText}`.trim() + ` in ${took} ms`,
      parts: [codeBlock("Response body", prettyText(text)).block, codeBlock("Response headers", received).block],
    };
  } catch (error) {
    return { line: `No response: ${error.message}`, parts: [] };
  }
}

function prettyText(text) {
  try {
    return pretty(JSON.parse(text));
  } catch {
    return text;
  }
}

// ---- the page

function listOperations(paths, webhook = false) {
  return Object.entries(paths ?? {}).flatMap(([path, item]) => METHODS
    .filter((method) => item[method])
    .map((method) => {
      const operation = item[method];
      return { id: operation.operationId ?? `${method}-${path}`, method, path, operation, webhook };
    }));
}

function overviewSection() {
  return el("section", { id: "overview", tabindex: "-1" },
    el("h1", {}, api.info.title, " ", el("small", {}, api.info.version)),
    el("p", { class: "summary" }, inline(api.info.summary ?? "")),
    markdown(api.info.description),
    el("p", {}, "Base URL: ", code(base)));
}

function authenticationSection() {
  const schemes = Object.values(api.components?.securitySchemes ?? {}).map(resolve);
  const flows = schemes.flatMap((scheme) => Object.entries(scheme.flows ?? {}));
  const scopes = Object.assign({}, ...flows.map(([, flow]) => flow.scopes));
  return el("section", { id: "authentication", tabindex: "-1" },
    el("h2", {}, "Authentication"),
    schemes.map((scheme) => markdown(scheme.description)),
    el("p", {}, "Send the token as ", code("Authorization: Bearer …"), "."),
    flows.length > 0 && table(["Flow", "Token URL"], flows.map(([name, flow]) => [code(name), code(flow.tokenUrl)])),
    table(["Scope", "Allows"], Object.entries(scopes).map(([scope, what]) => [code(scope), what])));
}

function problemSection() {
  const reference = { $ref: "#/components/schemas/Problem" };
  const schema = resolve(reference);
  return el("section", { id: "Problem", tabindex: "-1" },
    el("h2", {}, "Problem"),
    el("p", {}, "The body of every error, sent as ", code("application/problem+json"), "."),
    markdown(schema.description), fields(reference));
}

function groups() {
  const operations = listOperations(api.paths);
  const tagOf = ({ operation }) => operation.tags?.[0] ?? "other";
  const described = new Map((api.tags ?? []).map((tag) => [tag.name, tag.description]));
  const names = [...new Set([...described.keys(), ...operations.map(tagOf)])];
  return [
    ...names.map((name) => (
      { name, description: described.get(name), operations: operations.filter((one) => tagOf(one) === name) })),
    { name: "webhooks", operations: listOperations(api.webhooks, true) },
  ].filter((group) => group.operations.length);
}

function links(grouped) {
  const list = (items) => el("ul", {}, items.map(([id, ...text]) =>
    el("li", {}, el("a", { href: `#${id}` }, text))));
  return [
    list([["overview", "Overview"], ["authentication", "Authentication"]]),
    grouped.map((group) => [
      el("h2", {}, group.name),
      list(group.operations.map(({ id, method, path, operation }) => (
        [id, methodBadge(method), el("span", { title: operation.summary }, pathCode(path))]))),
    ]),
    el("h2", {}, "schemas"),
    list([["Problem", "Problem"]]),
  ];
}

/** Marks the link of the section being read. */
function followReading(nav) {
  const observer = new IntersectionObserver((entries) => {
    const seen = entries.find((entry) => entry.isIntersecting);
    if (!seen) return;
    for (const link of nav.querySelectorAll("a")) {
      if (link.hash === `#${seen.target.id}`) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }, { rootMargin: "-20% 0px -75% 0px" });
  for (const section of document.querySelectorAll("main section[id]")) observer.observe(section);
}

/** The menu is open beside the text, and folds above it on a narrow screen. */
function foldMenu() {
  const menu = document.getElementById("menu");
  const narrow = matchMedia("(max-width: 52rem)");
  const fold = () => { menu.open = !narrow.matches; };
  narrow.addEventListener("change", fold);
  menu.addEventListener("click", ({ target }) => {
    if (narrow.matches && target.closest("a")) menu.open = false;
  });
  fold();
}

async function start() {
  const notice = document.getElementById("notice");
  try {
    const response = await fetch(DOCUMENT_URL);
    if (!response.ok) throw new Error(`${DOCUMENT_URL} answered ${response.status}`);
    api = await response.json();
  } catch (error) {
    notice.textContent = `The document could not be loaded: ${error.message}`;
    return;
  }
  const server = new URL(api.servers?.[0]?.url ?? "/", location.href);
  base = location.origin + server.pathname.replace(/\/$/, "");
  document.title = api.info.title;
  document.getElementById("title").textContent = api.info.title;
  const grouped = groups();
  const nav = document.getElementById("links");
  nav.append(el("div", {}, links(grouped)));
  document.getElementById("content").replaceChildren(
    overviewSection(),
    authenticationSection(),
    ...grouped.map((group) => el("div", { class: "group" },
      el("h2", {}, group.name), markdown(group.description), group.operations.map(operationSection))),
    problemSection());
  foldMenu();
  followReading(nav);
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

await start();

// The API's description as a page, drawn from /openapi.json without a script from elsewhere.

import { node, put } from "./draw.js";
import { ask } from "./link.js";

function schemaName(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(schemaName).join(" or ");
  if (schema.type === "array") return `list of ${schemaName(schema.items)}`;
  return schema.type ?? "";
}

function table(heads, rows) {
  const made = node("table");
  const tr = node("tr");
  tr.append(...heads.map((head) => node("th", "", head)));
  made.append(node("thead"), node("tbody"));
  made.querySelector("thead").append(tr);
  for (const cells of rows) {
    const line = node("tr");
    line.append(...cells.map((cell, i) => {
      const td = node("td", "", String(cell));
      td.dataset.label = heads[i];
      return td;
    }));
    made.querySelector("tbody").append(line);
  }
  return made;
}

function route(path, method, about) {
  const section = node("section", "zone");
  const head = node("header");
  head.append(node("h3", "", `${method.toUpperCase()} ${path}`), node("span", "", about.description ?? ""));
  const given = (about.parameters ?? []).map((p) => [
    p.name, p.in, p.required ? "required" : "", schemaName(p.schema), p.description ?? "",
  ]);
  const answers = Object.entries(about.responses ?? {}).map(([status, answer]) => [
    status, Object.entries(answer.content ?? {}).map(([kind, c]) => `${kind} ${schemaName(c.schema)}`).join(", "),
  ]);
  section.append(head);
  if (given.length) section.append(table(["parameter", "in", "", "type", "meaning"], given));
  section.append(table(["status", "answer"], answers));
  return section;
}

function shape(name, schema) {
  const section = node("section", "zone");
  const head = node("header");
  head.append(node("h3", "", name), node("span", "", schema.description ?? ""));
  const fields = Object.entries(schema.properties ?? {}).map(([field, s]) => [field, schemaName(s)]);
  section.append(head, table(["field", "type"], fields));
  return section;
}

const about = await ask("openapi.json", sessionStorage.getItem("token") ?? "").catch(() => null);
if (about) {
  put(document.getElementById("about"), about.info.description);
  const routes = Object.entries(about.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, one]) => route(path, method, one)));
  const shapes = Object.entries(about.components.schemas).map(([name, schema]) => shape(name, schema));
  document.getElementById("routes").append(node("h2", "", "Routes"), ...routes, node("h2", "", "Answers"), ...shapes);
}

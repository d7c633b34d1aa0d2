// The tutorial's slip, found with the types that openapi-typescript generates: `node story.js URL`.

import createClient from "openapi-fetch";
import type { components, paths } from "./gradbook.js";

const service = createClient<paths, "application/json" | "application/problem+json">({ baseUrl: process.argv[2] });

// What was answered, or its problem as an error.
function answered<Answer>(given: { data?: Answer; error?: components["schemas"]["ProblemDocument"] }): Answer {
  if (given.data === undefined) throw new Error(`${given.error?.type}: ${given.error?.detail}`);
  return given.data;
}

const graph = answered(
  await service.POST("/v1/graphs", { body: { name: "blog", expression: "e = a + b; f = e * c; F = f / d" } }),
);
const at = { params: { path: { graph_id: graph.id } } };
const inputs = { a: 5, b: 1, c: -2, d: -3 };

const ours = answered(await service.POST("/v1/graphs/{graph_id}/runs", { ...at, body: { inputs } }));
console.log("the gradients:", JSON.stringify(ours.gradients));

const gradients = { F: 1, f: -3, d: 108, e: 6, c: -18, a: 6, b: 6 };
const theirs = answered(
  await service.POST("/v1/graphs/{graph_id}/runs", {
    ...at,
    body: { inputs, recorded: { by: "the tutorial", gradients } },
  }),
);

if (ours.id === null || theirs.id === null) throw new Error("they were to be kept");
const comparison = answered(
  await service.POST("/v1/comparisons", { body: { baseline: ours.id, candidate: theirs.id } }),
);
for (const origin of comparison.origins) console.log(`${origin.phase} at ${origin.node}: ${origin.sentence}`);

const refused = await service.POST("/v1/graphs/{graph_id}/runs", { ...at, body: { inputs: { a: 5 } } });
console.log("a problem:", refused.error?.type, refused.error?.detail);

// Parses LogQL with Grafana's own grammar. Input: a JSON list of queries; output: the list of those it refuses, with the place.
const {parser} = require("@grafana/lezer-logql");

const wrong = [];
for (const query of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
  let place = -1;
  // The parser mends what it does not understand, and marks it so.
  parser.parse(query).iterate({enter: (node) => { if (node.type.isError && place < 0) place = node.from; }});
  if (place >= 0) wrong.push([query, place]);
}
console.log(JSON.stringify(wrong));

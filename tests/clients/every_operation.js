// every_operation.js CLIENT DOCUMENT URL KEY - calls every operation of the contract through the client that
// openapi-generator's typescript-fetch made and tsc compiled into the folder CLIENT. Prints one line for each that fails.
const [folder, file, url, key] = process.argv.slice(2);
const client = require(folder);
const contract = JSON.parse(require("fs").readFileSync(file, "utf8"));
const configuration = new client.Configuration({ basePath: url, accessToken: key });

// Operations that change what is served, on a dictionary that no other call needs.
const others = { v2_load: "spare", v2_unload: "spare", reload: "bare", load: "spare", unload: "spare" };
// What else an operation is given.
const more = { atoms: { ids: [5, 1], fields: ["norm", "label"] }, steer: { steer: ["5:2.0"] }, edit: { set: ["5:scale:2"] }, sae_vector: { which: "decoder" } };

const named = (reference) => reference.slice(2).split("/").reduce((at, name) => at[name], contract);
const camel = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
const capital = (name) => name[0].toUpperCase() + name.slice(1);

function argumentsOf(operation) {
  const found = { ...more[operation["x-route"]] };
  for (const one of operation.parameters || []) {
    const parameter = one.$ref ? named(one.$ref) : one;
    if (parameter.in === "path") found[camel(parameter.name)] = parameter.example;
  }
  for (const name of ["dictionary", "model"])
    if (name in found && others[operation["x-route"]]) found[name] = others[operation["x-route"]];
  const json = operation.requestBody && operation.requestBody.content["application/json"];
  if (!json) return found;
  const kind = json.schema.$ref.split("/").pop();
  const read = client[kind + "FromJSON"]; // there is none for an object without members
  found[read ? kind[0].toLowerCase() + kind.slice(1) : "body"] = read ? read(json.example) : json.example;
  return found;
}

async function call(operation) {
  const api = new client[capital(operation.tags[0]) + "Api"](configuration);
  const reply = await api[camel(operation.operationId) + "Raw"](argumentsOf(operation));
  if (reply.raw.headers.get("Content-Type")) await reply.value();
}

async function main() {
  let count = 0;
  for (const item of Object.values(contract.paths))
    for (const operation of Object.values(item)) {
      count++;
      await call(operation).catch(async (error) => {
        process.exitCode = 1;
        console.log(operation.operationId, error.response ? await error.response.text() : error);
      });
    }
  console.log(count + " operations");
}

main();

// node early_answers.js URL KEY - Node's fetch sends bodies to routes that refuse them by their heads, with and
// without a length; prints a JSON list of [expected status, status or error].
const [url, key] = process.argv.slice(2);
const basic = url + "/v1/dictionaries/basic";
const json = { "content-type": "application/json", authorization: "Bearer " + key };
const refused = [
  [401, basic + "/reconstruct", { "content-type": "application/json" }],
  [404, url + "/nothing", json],
  [405, basic, json],
  [413, basic + "/reconstruct", json],
  [415, basic + "/reconstruct", { ...json, "content-type": "text/csv" }],
];

function stream(left) {
  return new ReadableStream({
    pull(controller) {
      const size = Math.min(left, 65536);
      if (size === 0) return controller.close();
      left -= size;
      controller.enqueue(new Uint8Array(size).fill(32));
    },
  });
}

async function ask(at, headers, body) {
  try {
    const reply = await fetch(at, { method: "POST", duplex: "half", headers, body });
    return JSON.parse(await reply.text()).error ? reply.status : "a reply without error";
  } catch (error) {
    return (error.cause && error.cause.code) || String(error);
  }
}

(async () => {
  const seen = [];
  for (const size of [300000, 3000000, 9000000, 50000000])
    for (const [status, at, headers] of refused)
      for (const body of [new Uint8Array(size).fill(32), stream(size)])
        seen.push([status, await ask(at, headers, body)]);
  console.log(JSON.stringify(seen));
})();

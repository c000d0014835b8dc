// How ioredis is told what APP_URL tells redis-py, and a comparison that throws.

const { readFileSync } = require("node:fs");

exports.connection = () => {
  const url = new URL(process.env.APP_URL);
  const file = (name) => (url.searchParams.has(name) ? readFileSync(url.searchParams.get(name)) : undefined);
  const tls = url.protocol === "rediss:" && { ca: file("ssl_ca_certs"), cert: file("ssl_certfile"), key: file("ssl_keyfile") };
  const login = url.password && { username: url.username, password: url.password };
  return { host: url.hostname, port: Number(url.port), ...(tls && { tls }), ...login };
};

exports.expect = (is, should) => {
  if (is !== should) throw new Error(`${JSON.stringify(is)} instead of ${JSON.stringify(should)}`);
};

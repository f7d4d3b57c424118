// Answers every request on port 8080 with the name of the container it runs in.
const http = require("http");
const os = require("os");

const server = http.createServer((request, response) => {
  console.log(`${request.method} ${request.url} from ${request.socket.remoteAddress}`);
  response.end(`Container Hostname: ${os.hostname()}\n`);
});

server.listen(8080, () => console.log("listening on 8080"));
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => process.exit(0));
}

// @tus/server with its file store, as its documentation shows it: tus_node.mjs DIRECTORY HOST PORT.
import { FileStore } from "@tus/file-store";
import { Server } from "@tus/server";

const [directory, host, port] = process.argv.slice(2);
const server = new Server({ path: "/files", datastore: new FileStore({ directory }) });
server.listen({ host, port: Number(port) });

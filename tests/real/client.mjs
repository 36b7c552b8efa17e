// Connects to a server with the TypeScript SDK, lists its tools and calls one of them.
//
// Reads {"command": [...]} or {"url": ...}, and {"era", "tool", "arguments", "meta"}, as JSON from standard
// input; writes {"version", "tools", "result"} or {"version", "tools", "error"} as JSON to standard output.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { text } from 'node:stream/consumers';

const asked = JSON.parse(await text(process.stdin));
const era = asked.era === 'legacy' ? 'legacy' : { pin: '2026-07-28' };
const client = new Client({ name: 'someone-elses-client', version: '1' }, { versionNegotiation: { mode: era } });

const transport = asked.url
  ? new StreamableHTTPClientTransport(new URL(asked.url))
  : new StdioClientTransport({ command: asked.command[0], args: asked.command.slice(1), stderr: 'inherit' });

await client.connect(transport);
const answer = { version: client.getNegotiatedProtocolVersion?.() };
try {
  answer.tools = (await client.listTools()).tools;
  answer.result = await client.callTool({ name: asked.tool, arguments: asked.arguments ?? {}, _meta: asked.meta });
} catch (error) {
  answer.error = { code: error.code, message: error.message, data: error.data };
}
await client.close();
console.log(JSON.stringify(answer));

// Ollama's own client in JavaScript against the server at OLLAMA_URL: one word for each thing that works.
import assert from 'node:assert/strict';
import {createRequire} from 'node:module';
import {pathToFileURL} from 'node:url';

const env = process.env;
const resolve = createRequire(`${env.PACKAGE}/package.json`).resolve;
const {Ollama} = await import(pathToFileURL(resolve(env.PACKAGE)));
const client = new Ollama({host: env.OLLAMA_URL});
const model = env.OLLAMA_MODEL;
const options = {num_predict: 8, temperature: 0, num_thread: 1};
const messages = [{role: 'user', content: 'Name three colours.'}];
const asked = JSON.parse(env.ASKED);

const said = await client.generate({model, prompt: 'Why is the sky blue?', options});
assert.equal(said.done_reason, 'length');
assert.equal(said.eval_count, 8);
console.log('generate');

let text = '', last;
for await (last of await client.generate({model, prompt: 'Why is the sky blue?', options, stream: true})) text += last.response;
assert.equal(text, said.response);
assert.equal(last.done, true);
console.log('stream');

const whole = await client.chat({model, messages, options});
let pieces = '';
for await (const part of await client.chat({model, messages, options, stream: true})) pieces += part.message.content;
assert.equal(pieces, whole.message.content);
console.log('chat');

const schema = {type: 'object', properties: {big: {type: 'boolean'}}, required: ['big'], additionalProperties: false};
const json = await client.chat({model, messages, format: schema, options: {...options, num_predict: 40}});
assert.equal(typeof JSON.parse(json.message.content).big, 'boolean');
console.log('format');

const called = await client.chat({model: env.OLLAMA_TOOLS, ...asked, options: {...options, num_predict: 48, repeat_penalty: 1}});
assert.equal(called.message.tool_calls[0].function.name, 'get_weather');
assert.equal(typeof called.message.tool_calls[0].function.arguments.city, 'string');
console.log('tools');

await assert.rejects(client.chat({model, messages, think: true}), error => error.status_code === 400);
console.log('think');

const vectors = await client.embed({model: env.OLLAMA_EMBED, input: ['a cat', 'un chat']});
assert.deepEqual(vectors.embeddings.map(vector => vector.length), [384, 384]);
console.log('embed');

assert.ok((await client.list()).models.some(one => one.name === model));
console.log('list');
assert.deepEqual((await client.show({model})).capabilities, ['completion']);
console.log('show');
await client.generate({model, prompt: '', keep_alive: '2m'});
assert.ok((await client.ps()).models.some(one => one.name === model && one.size > 90e6));
console.log('ps');

const endless = await client.generate({model, prompt: 'A story.', stream: true, options: {...options, num_predict: 4000}});
await assert.rejects(async () => {
  for await (const _ of endless) endless.abort();
}, {name: 'AbortError'});
assert.equal((await client.generate({model, prompt: 'Yes.', options: {...options, num_predict: 1}})).eval_count, 1);
console.log('abort');

await assert.rejects(client.chat({model: 'nope', messages}), error => error.status_code === 404 && /not found/.test(error.message));
console.log('missing');

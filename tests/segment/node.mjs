// Sends events with an SDK for Node as its maker publishes it: `node node.mjs segment-node|rudder-node URL KEY EVENTS BEFORE`.
// After the first ones (BEFORE) it says `away` and waits for a line, so that the server can be taken away.
import { once } from 'node:events'
import { createRequire } from 'node:module'

const [maker, url, key, ...told] = process.argv.slice(2)
const [events, before] = told.map(Number)
const require = createRequire(process.cwd() + '/')

function segment() {
  const { Analytics } = require('@segment/analytics-node')
  const client = new Analytics({ writeKey: key, host: url, path: '/segment/v1/batch', maxEventsInBatch: 100, flushInterval: 200, maxRetries: 20 })
  let failed = 0
  client.on('error', (error) => { failed += 1; console.error(error) })
  const send = (call, message) => new Promise((resolve) => client[call](message, (error) => { if (error) failed += 1; resolve() }))
  return { send, end: async () => { await client.closeAndFlush({ timeout: 60000 }); return failed } }
}

function rudder() {
  const Analytics = require('@rudderstack/rudder-sdk-node')
  const client = new Analytics(key, { dataPlaneUrl: `${url}/segment`, flushAt: 100, flushInterval: 200, retryCount: 100, axiosRetryConfig: { retryDelay: () => 1000 }, logLevel: 'none' })
  let failed = 0
  const send = (call, message) => new Promise((resolve) => client[call](message, (error) => { if (error) { failed += 1; console.error(String(error)) } resolve() }))
  return { send, end: async () => { await client.flush(); return failed } }
}

const client = maker === 'segment-node' ? segment() : rudder()
const AT_ONCE = 500 // messages that wait to be sent; RudderStack's SDK weighs all that wait with each one more
let open = []
for (let n = 0; n < events; n += 1) {
  if (n === before || open.length >= AT_ONCE) {
    await Promise.all(open)
    open = []
  }
  if (n === before) {
    console.log('away')
    await once(process.stdin, 'data')
  }
  const person = { userId: `u${n % 100}`, anonymousId: `v${n % 1000}` }
  if (n % 10 < 5) open.push(client.send('page', { ...person, name: 'Home', properties: { url: `https://shop.example/?utm_campaign=${maker}` } }))
  else if (n % 10 < 9) open.push(client.send('track', { ...person, event: 'CTA Clicked', properties: { cta_id: `cta-${maker}` } }))
  else open.push(client.send('track', { ...person, event: `Odd of ${maker}`, properties: { n } }))
}
await Promise.all(open)
const failed = await client.end()
process.exit(failed ? 1 : 0)

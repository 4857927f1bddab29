const { createHmac } = require("crypto")

const { CROSSDOCK_HINT_URL: url, CROSSDOCK_HINT_SECRET: secret } = process.env

const TIMEOUT = 3000
const PAUSE = 1100 // the receiver passes on one a second

let busy = false
const waiting = new Map() // the last event of each kind, in the order in which the kinds came
let failing = false

/**
 * Tells Crossdock that something has happened, when CROSSDOCK_HINT_URL and CROSSDOCK_HINT_SECRET are given: only the
 * event's name. At most one hint is under way and one of each kind waits, of stock, of the extension itself and of all
 * else; nobody waits for them, and none is sent again.
 */
module.exports.default = async ({ event, container }) => {
  if (!url || !secret) return
  const kind = ["inventory", "erp"].find((kind) => event.name.startsWith(`${kind}.`)) ?? "all else"
  waiting.set(kind, { event: event.name, at: new Date().toISOString() })
  if (!busy) void sendAll(container.resolve("logger"))
}

module.exports.config = {
  event: [
    "customer.created",
    "customer.updated",
    "erp.document.wished",
    "order.placed",
    "order.updated",
    "order.canceled",
    "order.completed",
    "order.fulfillment_created",
    "order.return_requested",
    "order.return_received",
    "order.claim_created",
    "order.exchange_created",
    "order-edit.confirmed",
    "payment.captured",
    "payment.refunded",
    "inventory.inventory-level.created",
    "inventory.inventory-level.updated",
    "inventory.inventory-level.deleted",
  ],
}

async function sendAll(logger) {
  busy = true
  while (waiting.size) {
    const [[kind, hint]] = waiting
    waiting.delete(kind)
    try {
      await send(JSON.stringify(hint))
      failing = false
    } catch (error) {
      if (!failing) {
        logger.warn(`Crossdock does not take hints (${error.cause?.code ?? error.message}); it looks by itself every few minutes.`)
      }
      failing = true
    }
    await new Promise((done) => setTimeout(done, PAUSE).unref())
  }
  busy = false
}

async function send(body) {
  const timestamp = String(Math.floor(Date.now() / 1000))
  const signature = createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex")
  const answer = await fetch(url, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      "X-Crossdock-Timestamp": timestamp,
      "X-Crossdock-Signature": signature,
    },
    body,
    redirect: "error",
    signal: AbortSignal.timeout(TIMEOUT),
  })
  await answer.body?.cancel()
  if (!answer.ok) throw new Error(`it answers ${answer.status}`)
}

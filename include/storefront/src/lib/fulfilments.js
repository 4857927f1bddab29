const { randomUUID } = require("node:crypto")
const { ContainerRegistrationKeys, Modules } = require("@medusajs/framework/utils")
const { database } = require("./database")

const SECONDS = 120

/**
 * One writer at a time to the fulfilments, returns and refunds that the ERP tells of an order, and one fulfilment for
 * each of the ERP's shipments.
 *
 * Medusa fulfils a line as often as it is asked to, and counts wrong when it is asked twice at once (2.18.0). The lock
 * is held until the answer is written, also for a client that has not waited for it.
 */
async function oneAtATime(req, res, next) {
  if (req.method !== "POST") return next()
  const refuse = (message) => res.status(409).json({ type: "conflict", message })
  const locking = req.scope.resolve(Modules.LOCKING)
  const key = `erp-fulfilments:${req.params.id}`
  const owner = { ownerId: randomUUID() }
  try {
    await locking.acquire(key, { ...owner, expire: SECONDS })
  } catch {
    return refuse("Another call is at work on this order.")
  }
  const end = res.end.bind(res)
  res.end = (...args) => {
    locking.release(key, owner).finally(() => end(...args))
    return res
  }
  try {
    const shipment = req.body?.metadata?.erp_shipment
    if (shipment && (await isFulfilled(req, shipment))) return refuse(`Shipment ${shipment} is fulfilled already.`)
    if (shipment) await letGo(req)
    next()
  } catch (error) {
    next(error)
  }
}

async function isFulfilled(req, shipment) {
  const query = req.scope.resolve(ContainerRegistrationKeys.QUERY)
  const fields = ["fulfillments.metadata", "fulfillments.canceled_at"]
  const { data } = await query.graph({ entity: "order", fields, filters: { id: req.params.id } })
  const there = data[0]?.fulfillments ?? []
  return there.some((one) => !one.canceled_at && one.metadata?.erp_shipment === shipment)
}

/**
 * What the ERP has sent has left, whatever the shop thinks it has there: of a part that leaves from elsewhere Medusa
 * moves the rest of the reservation along, and refuses where nothing is free (2.18.0).
 */
async function letGo(req) {
  const lines = (Array.isArray(req.body.items) ? req.body.items : []).map((item) => String(item?.id))
  await database(req.scope).raw(
    `update reservation_item set allow_backorder = true
     where line_item_id = any(?) and deleted_at is null
       and line_item_id in (select item_id from order_item where order_id = ? and deleted_at is null)`,
    [lines, req.params.id]
  )
}

module.exports = { oneAtATime }

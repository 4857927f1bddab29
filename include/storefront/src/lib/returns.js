const {
  beginReceiveReturnWorkflow, beginReturnOrderWorkflow, cancelReturnReceiveWorkflow, cancelReturnRequestWorkflow,
  confirmReturnReceiveWorkflow, confirmReturnRequestWorkflow, receiveItemReturnRequestWorkflow, requestItemReturnWorkflow,
} = require("@medusajs/medusa/core-flows")
const { ContainerRegistrationKeys, MedusaError } = require("@medusajs/framework/utils")

const FIELDS = ["id", "returns.id", "returns.status", "returns.metadata"]

/**
 * Goods (`items`: [{id, quantity}]) have come back to the ERP: the shop's return of them is received. `return_id`: the
 * shop's own; without it the ERP's, known by `number`, for which one is made. Called again it does what is left.
 *
 * All at once: Medusa forgets what it has received of a return when it receives the rest (2.18.0).
 */
async function receiveReturn(scope, order_id, { number, return_id, location_id, items }) {
  const note = `Return ${number} of the ERP`
  await clear(scope, order_id, note)
  let there = await find(scope, order_id, { number, return_id })
  if (return_id && !there) refuse(`The order has no return ${return_id}`)
  if (there?.status === "canceled") refuse(`The return ${there.id} was called off in the shop`)
  if (!there) {
    const metadata = { erp_return: number }
    const input = { order_id, location_id, metadata, internal_note: note }
    const { result } = await beginReturnOrderWorkflow(scope).run({ input })
    const of = { return_id: result.return_id }
    await requestItemReturnWorkflow(scope).run({ input: { ...of, items } })
    await confirmReturnRequestWorkflow(scope).run({ input: of })
    there = await find(scope, order_id, of)
  }
  if (there.status === "requested") {
    const of = { return_id: there.id }
    await beginReceiveReturnWorkflow(scope).run({ input: { ...of, internal_note: note } })
    await receiveItemReturnRequestWorkflow(scope).run({ input: { ...of, items } })
    await confirmReturnReceiveWorkflow(scope).run({ input: of })
  }
  return there.id
}

/** What an earlier call for the same return has begun and not ended is begun anew; anybody else's work is left alone. */
async function clear(scope, order_id, note) {
  const change = await openChange(scope, order_id)
  if (!change) return
  if (change.internal_note !== note) refuse("Another change of the order is open in the shop")
  const cancel = change.change_type === "return_request" ? cancelReturnRequestWorkflow : cancelReturnReceiveWorkflow
  await cancel(scope).run({ input: { return_id: change.return_id } })
}

async function openChange(scope, order_id) {
  const query = scope.resolve(ContainerRegistrationKeys.QUERY)
  const fields = ["id", "change_type", "return_id", "internal_note"]
  const filters = { order_id, status: ["pending", "requested"] }
  return (await query.graph({ entity: "order_change", fields, filters })).data[0]
}

/** Medusa's "open" is a draft of staff's, or what was left of a call that did not end. */
async function find(scope, order_id, { number, return_id }) {
  const query = scope.resolve(ContainerRegistrationKeys.QUERY)
  const { data: [order] } = await query.graph({ entity: "order", fields: FIELDS, filters: { id: order_id } })
  const is = return_id ? (one) => one.id === return_id : (one) => one.metadata?.erp_return === number
  return (order?.returns ?? []).find((one) => one.status !== "open" && is(one))
}

function refuse(message) {
  throw new MedusaError(MedusaError.Types.NOT_ALLOWED, message)
}

module.exports = { receiveReturn, openChange, refuse }

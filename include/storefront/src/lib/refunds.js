const { refundPaymentWorkflow } = require("@medusajs/medusa/core-flows")
const { ContainerRegistrationKeys, MathBN, defaultCurrencies } = require("@medusajs/framework/utils")
const { openChange, refuse } = require("./returns")

const PAYMENTS = "payment_collections.payments"
const FIELDS = ["id", "status", "currency_code", `${PAYMENTS}.id`, `${PAYMENTS}.captures.*`, `${PAYMENTS}.refunds.*`]

/**
 * Money that the ERP says is paid back: so much of what was captured is refunded, over several payments if need be.
 * Each refund bears the ERP's `number`; called again it refunds what is left.
 */
async function payBack(scope, order_id, { number, amount }) {
  const query = scope.resolve(ContainerRegistrationKeys.QUERY)
  const { data: [order] } = await query.graph({ entity: "order", fields: FIELDS, filters: { id: order_id } })
  if (!order) refuse("There is no such order")
  const payments = order.payment_collections.flatMap((one) => one.payments ?? [])
  const told = payments.flatMap((one) => one.refunds ?? []).filter((one) => one.metadata?.erp_refund === number)
  let left = MathBN.sub(amount, sum(told))
  const rounding = roundingOf(order, payments.length)
  if (MathBN.lte(left, rounding)) return
  if (order.status === "canceled") refuse("The order is cancelled in the shop, and what was paid is refunded")
  if (await openChange(scope, order_id)) refuse("Another change of the order is open in the shop")
  const free = payments.map(({ id, captures, refunds }) => ({ id, amount: MathBN.sub(sum(captures), sum(refunds)) }))
  if (MathBN.gt(left, MathBN.add(sum(free), rounding))) refuse("So much of what was paid is not left to be refunded")
  for (const payment of free.filter((one) => MathBN.gt(one.amount, 0))) {
    const part = MathBN.min(left, payment.amount)
    if (MathBN.lte(part, 0)) break
    const words = { note: `Refund ${number} of the ERP`, metadata: { erp_refund: number } }
    await refundPaymentWorkflow(scope).run({ input: { payment_id: payment.id, amount: Number(part), ...words } })
    left = MathBN.sub(left, part)
  }
}

/** Medusa does not round what is paid, the ERP does: half of the smallest coin for each payment. */
function roundingOf(order, payments) {
  const digits = defaultCurrencies[order.currency_code.toUpperCase()]?.decimal_digits ?? 2
  return (payments * 10 ** -digits) / 2
}

function sum(rows) {
  return (rows ?? []).reduce((total, row) => MathBN.add(total, row.amount), MathBN.convert(0))
}

module.exports = { payBack }

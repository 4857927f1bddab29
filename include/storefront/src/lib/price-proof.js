const { randomUUID } = require("node:crypto")
const { generateEntityId, Modules } = require("@medusajs/framework/utils")
const { createCartWorkflow } = require("@medusajs/medusa/core-flows")
const { database } = require("./database")
const { variantsOf } = require("./prices")

/**
 * What the shop's own pricing says.
 *
 * @param {{account: string|null, region: string, sku: string, quantity: number}[]} questions account null: a guest
 * @returns {Promise<(object|null)[]>} in their order {amount, tax_inclusive}, the amount as text, null where there is
 *   no price; null for an account, region or SKU that the shop has not
 */
async function quotes(scope, questions) {
  const db = database(scope)
  const pricing = scope.resolve(Modules.PRICING)
  const known = await db("region").whereNull("deleted_at").select("id", "currency_code")
  const regions = new Map(known.map((region) => [region.id, region]))
  const groups = await groupsOf(db, questions)
  const variants = await variantsOf(db, questions.map((question) => question.sku))
  const setOf = (n) => variants.get(questions[n].sku)?.price_set_id
  const answers = questions.map(() => null)
  for (const asked of alike(questions, ({ account, region, quantity }) => [account, region, quantity])) {
    const { account, region, quantity } = questions[asked[0]]
    if (!regions.has(region) || (account !== null && !groups.has(account))) continue
    const context = { quantity, region_id: region, currency_code: regions.get(region).currency_code }
    if (account !== null) context.customer = { groups: [{ id: groups.get(account) }] }
    const id = [...new Set(asked.map(setOf).filter(Boolean))]
    const prices = id.length ? await pricing.calculatePrices({ id }, { context }) : []
    const found = new Map(prices.map((price) => [price.id, price]))
    for (const n of asked) {
      if (!variants.has(questions[n].sku)) continue
      const price = found.get(setOf(n))
      const amount = price?.raw_calculated_amount
      const tax_inclusive = Boolean(price?.is_calculated_price_tax_inclusive)
      answers[n] = { amount: amount ? String(amount.value) : null, tax_inclusive }
    }
  }
  return answers
}

/**
 * The same by real carts: Medusa makes one for a buyer of the account, in its own way, and it is thrown away again.
 *
 * The buyer is a customer whom nobody can be: registered, so that no guest gets him by his e-mail, but without a login.
 * @returns {Promise<(object|null)[]>} as `quotes`, or {reason} where Medusa refuses the cart (stock, no price)
 */
async function cartPrices(scope, questions) {
  const db = database(scope)
  const groups = await groupsOf(db, questions)
  const variants = await variantsOf(db, questions.map((question) => question.sku))
  const answers = questions.map(() => null)
  for (const asked of alike(questions, ({ account }) => account)) {
    const { account } = questions[asked[0]]
    if (account !== null && !groups.has(account)) continue
    await withBuyer(db, groups.get(account), async (buyer) => {
      for (const n of asked) {
        const { region, sku, quantity } = questions[n]
        if (variants.has(sku)) answers[n] = await priceInCart(scope, buyer, region, variants.get(sku).id, quantity)
      }
    })
  }
  return answers
}

async function priceInCart(scope, customer_id, region_id, variant_id, quantity) {
  const input = { region_id, customer_id, items: [{ variant_id, quantity }] }
  let cart
  try {
    cart = (await createCartWorkflow(scope).run({ input })).result
  } catch ({ message }) {
    return { reason: message }
  }
  const carts = scope.resolve(Modules.CART)
  const select = ["unit_price", "raw_unit_price", "is_tax_inclusive"]
  const [item] = await carts.listLineItems({ cart_id: cart.id }, { select })
  await carts.deleteCarts([cart.id])
  return { amount: String(item.raw_unit_price.value), tax_inclusive: item.is_tax_inclusive }
}

const BUYERS = "@price-proof.invalid"

/** A buyer of the group for as long as `work` takes; without a group nobody. Those that a killed server left go too. */
async function withBuyer(db, group, work) {
  if (!group) return work(undefined)
  const id = generateEntityId(undefined, "cus")
  await db("customer")
    .where({ has_account: true })
    .whereLike("email", `%${BUYERS}`)
    .whereRaw("created_at < now() - interval '1 hour'")
    .delete()
  await db.transaction(async (trx) => {
    await trx("customer").insert({ id, email: `${randomUUID()}${BUYERS}`, has_account: true })
    const membership = { id: generateEntityId(undefined, "cusgc"), customer_id: id, customer_group_id: group }
    await trx("customer_group_customer").insert(membership)
  })
  try {
    await work(id)
  } finally {
    await db("customer").where({ id }).delete()
  }
}

async function groupsOf(db, questions) {
  const codes = [...new Set(questions.map((question) => question.account).filter((account) => account !== null))]
  const rows = await db("erp_account").whereIn("code", codes).select("code", "group_id")
  return new Map(rows.map((row) => [row.code, row.group_id]))
}

/** The numbers of the questions, those together of which `aspects` are equal. */
function alike(questions, aspects) {
  const together = new Map()
  questions.forEach((question, n) => {
    const key = JSON.stringify(aspects(question))
    if (!together.has(key)) together.set(key, [])
    together.get(key).push(n)
  })
  return together.values()
}

module.exports = { quotes, cartPrices }

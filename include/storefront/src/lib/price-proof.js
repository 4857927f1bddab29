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
      for (const some of cartfuls(asked.filter((n) => variants.has(questions[n].sku)), questions)) {
        const { region } = questions[some[0]]
        const items = some.map((n) => ({ variant_id: variants.get(questions[n].sku).id, quantity: questions[n].quantity }))
        Object.assign(answers, await pricesInCart(scope, buyer, region, items, some))
      }
    })
  }
  return answers
}

const CARTFUL = 20

/** The numbers of questions that one cart answers: of one region, each article once. */
function cartfuls(asked, questions) {
  const carts = []
  for (const n of asked) {
    const { region, sku } = questions[n]
    let cart = carts.find((one) => one.region === region && one.numbers.length < CARTFUL && !one.skus.has(sku))
    if (!cart) carts.push((cart = { region, skus: new Set(), numbers: [] }))
    cart.skus.add(sku)
    cart.numbers.push(n)
  }
  return carts.map((cart) => cart.numbers)
}

/** {number: answer}. A cart that Medusa refuses is tried again with each of its lines alone. */
async function pricesInCart(scope, customer_id, region_id, items, numbers) {
  const input = { region_id, customer_id, items }
  let cart
  try {
    cart = (await createCartWorkflow(scope).run({ input })).result
  } catch ({ message }) {
    if (items.length === 1) return { [numbers[0]]: { reason: message } }
    const answers = {}
    for (const [place, item] of items.entries()) {
      Object.assign(answers, await pricesInCart(scope, customer_id, region_id, [item], [numbers[place]]))
    }
    return answers
  }
  const carts = scope.resolve(Modules.CART)
  const select = ["variant_id", "unit_price", "raw_unit_price", "is_tax_inclusive"]
  const lines = await carts.listLineItems({ cart_id: cart.id }, { select })
  await carts.deleteCarts([cart.id])
  const found = new Map(lines.map((line) => [line.variant_id, line]))
  return Object.fromEntries(
    items.map(({ variant_id }, place) => {
      const line = found.get(variant_id)
      return [numbers[place], { amount: String(line.raw_unit_price.value), tax_inclusive: line.is_tax_inclusive }]
    })
  )
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

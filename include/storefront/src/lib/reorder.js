const { ContainerRegistrationKeys, MedusaError, Modules, getVariantAvailability } = require("@medusajs/framework/utils")
const { addToCartWorkflow, createCartWorkflow } = require("@medusajs/medusa/core-flows")
const { database } = require("./database")
const { soldVariants } = require("./history")

/**
 * Put what a document names into a cart, as far as it can be bought now, at what it costs this buyer today: by Medusa's
 * own workflows, which ask for the price by his groups and look after stock.
 *
 * @param {string} customer a buyer, whose document it is
 * @param {object} document as lib/history.js gives it
 * @param {{region_id?: string, cart_id?: string, channels: string[]}} where into this cart of his, else a new one in
 *   this region, else in the region of his address; `channels`: the sales channels of the visitor's key
 * @returns {Promise<{cart_id: string | null, added: object[], skipped: object[]}>} added {sku, quantity}; skipped
 *   {sku, title, quantity, reason, successor}, the reason one of: free_text (no article), returned (it was not bought),
 *   fraction (no whole pieces), unknown (the shop has no such SKU), not_sold, other_unit, no_price, no_stock (so many
 *   are lacking), refused (by Medusa). cart_id null: nothing can be bought
 */
async function reorder(scope, customer, document, { region_id, cart_id, channels }) {
  const db = database(scope)
  const account = await accountOf(db, customer, document)
  const cart = cart_id ? await cartOf(db, customer, cart_id) : undefined
  const place = cart ?? { ...(await regionOf(db, customer, region_id)), sales_channel_id: channels[0] }
  const skipped = []
  const skip = (line, reason, quantity = line.quantity) => {
    const { sku, title, successor } = line
    skipped.push({ sku, title, quantity: String(quantity), reason, successor })
  }
  const wanted = wholePieces(document.lines, skip)
  const sold = await forSale(db, wanted, [place.sales_channel_id], skip)
  const priced = await withPrice(scope, customer, place, together(sold), skip)
  const lines = await inStock(scope, place, priced, skip)
  if (!lines.length) return { cart_id: cart?.id ?? null, added: [], skipped }
  const id = cart?.id ?? (await newCart(scope, customer, account, place))
  return { cart_id: id, added: await add(scope, id, lines, skip), skipped }
}

/** A cart is the active account's: what was bought for another one is not to be bought for this one by accident. */
async function accountOf(db, customer, document) {
  const { active_code } = await db("erp_login").where({ customer_id: customer }).first("active_code")
  if (active_code === document.account) return active_code
  const reason = `This is a document of account ${document.account}, and you buy for ${active_code}: change that first`
  throw new MedusaError(MedusaError.Types.NOT_ALLOWED, reason)
}

async function cartOf(db, customer, id) {
  const cart = await db("cart")
    .where({ id: String(id), customer_id: customer, completed_at: null, deleted_at: null })
    .first("id", "region_id", "currency_code", "sales_channel_id")
  if (!cart) throw new MedusaError(MedusaError.Types.NOT_FOUND, "You have no such cart")
  return cart
}

async function regionOf(db, customer, given) {
  const { rows: [region] } = await db.raw(
    `select r.id as region_id, r.currency_code from region r
     where r.deleted_at is null and r.id = coalesce(:given, r.id)
     order by exists (
       select from customer_address a join region_country c on c.iso_2 = a.country_code
       where c.region_id = r.id and a.customer_id = :customer and a.is_default_shipping and a.deleted_at is null
     ) desc, r.created_at, r.id limit 1`,
    { given: given ? String(given) : null, customer }
  )
  if (!region) throw new MedusaError(MedusaError.Types.NOT_FOUND, "The shop has no such region")
  return region
}

/** Lines of articles that were bought, in whole pieces. A line without a quantity is a remark. */
function wholePieces(lines, skip) {
  return lines.flatMap((line) => {
    const quantity = Number(line.quantity)
    if (line.quantity === null) return []
    if (line.sku === null) skip(line, "free_text")
    else if (quantity <= 0) skip(line, "returned")
    else if (!Number.isSafeInteger(quantity)) skip(line, "fraction")
    else return [{ ...line, quantity }]
    return []
  })
}

/** Each SKU once, in the order of the lines. */
function together(lines) {
  const bySku = new Map()
  for (const line of lines) {
    bySku.set(line.sku, { ...line, quantity: line.quantity + (bySku.get(line.sku)?.quantity ?? 0) })
  }
  return [...bySku.values()]
}

/** Each with its variant. A quantity of another unit than the article's would be another quantity. */
async function forSale(db, lines, channels, skip) {
  const skus = lines.map(({ sku }) => sku)
  const sold = await soldVariants(db, skus, channels)
  const { rows } = await db.raw(
    `select v.sku, v.id, v.manage_inventory, v.allow_backorder, s.price_set_id,
       coalesce(v.metadata -> 'erp' ->> 'unit', p.metadata -> 'erp' ->> 'unit') as unit
     from product_variant v join product p on p.id = v.product_id
     left join product_variant_price_set s on s.variant_id = v.id and s.deleted_at is null
     where v.sku = any(?) and v.deleted_at is null`,
    [skus]
  )
  const variants = new Map(rows.map((row) => [row.sku, row]))
  return lines.flatMap((line) => {
    const variant = variants.get(line.sku)
    if (!variant) skip(line, "unknown")
    else if (!sold.has(line.sku)) skip(line, "not_sold")
    else if (variant.unit && line.unit && variant.unit !== line.unit) skip(line, "other_unit")
    else return [{ ...line, variant }]
    return []
  })
}

async function withPrice(scope, customer, { region_id, currency_code }, lines, skip) {
  const pricing = scope.resolve(Modules.PRICING)
  const groups = await database(scope)("customer_group_customer")
    .where({ customer_id: customer, deleted_at: null })
    .select("customer_group_id as id")
  const priced = new Set()
  for (const quantity of new Set(lines.map((line) => line.quantity))) {
    const context = { quantity, region_id, currency_code, customer: { id: customer, groups } }
    const alike = lines.filter((line) => line.quantity === quantity)
    const id = alike.map((line) => line.variant.price_set_id).filter(Boolean)
    const prices = id.length ? await pricing.calculatePrices({ id }, { context }) : []
    prices.filter((price) => price.raw_calculated_amount).forEach((price) => priced.add(`${price.id} ${quantity}`))
  }
  return lines.filter((line) => {
    const has = priced.has(`${line.variant.price_set_id} ${line.quantity}`)
    if (!has) skip(line, "no_price")
    return has
  })
}

/** As many as there are, less what is in the cart already; of the rest it is said how many are lacking. */
async function inStock(scope, { id, sales_channel_id }, lines, skip) {
  const counted = lines.filter(({ variant }) => variant.manage_inventory && !variant.allow_backorder)
  if (!counted.length) return lines
  const query = scope.resolve(ContainerRegistrationKeys.QUERY)
  const variant_ids = counted.map(({ variant }) => variant.id)
  const there = await getVariantAvailability(query, { variant_ids, sales_channel_id })
  const inCart = new Map()
  for (const item of id ? await database(scope)("cart_line_item").where({ cart_id: id, deleted_at: null }) : []) {
    inCart.set(item.variant_id, Number(item.quantity) + (inCart.get(item.variant_id) ?? 0))
  }
  return lines.flatMap((line) => {
    if (!counted.includes(line)) return [line]
    const free = (there[line.variant.id]?.availability ?? 0) - (inCart.get(line.variant.id) ?? 0)
    const quantity = Math.max(0, Math.min(line.quantity, Math.floor(free)))
    if (quantity < line.quantity) skip(line, "no_stock", line.quantity - quantity)
    return quantity ? [{ ...line, quantity }] : []
  })
}

async function newCart(scope, customer_id, account, { region_id, sales_channel_id }) {
  const input = { region_id, customer_id, sales_channel_id, metadata: { erp_account: account } }
  const { result } = await createCartWorkflow(scope).run({ input })
  return result.id
}

/** All at once; where Medusa refuses that, each for itself. */
async function add(scope, cart_id, lines, skip) {
  const put = (some) => {
    const items = some.map(({ variant, quantity }) => ({ variant_id: variant.id, quantity }))
    return addToCartWorkflow(scope).run({ input: { cart_id, items } })
  }
  const added = ({ sku, quantity }) => ({ sku, quantity })
  try {
    await put(lines)
    return lines.map(added)
  } catch (error) {
    if (lines.length > 1) {
      const each = []
      for (const line of lines) each.push(...(await add(scope, cart_id, [line], skip)))
      return each
    }
    scope.resolve(ContainerRegistrationKeys.LOGGER).warn(`${lines[0].sku} does not go into a cart: ${error.message}`)
    skip(lines[0], "refused")
    return []
  }
}

module.exports = { reorder }

const { MedusaError } = require("@medusajs/framework/utils")
const { database } = require("./database")

/**
 * Variants the ERP no longer sells stay, for the orders they are in, marked metadata.erp.withdrawn. Visitors do not see
 * them, and neither they nor the variants of an unpublished product can be bought.
 */
async function hideWithdrawn(req, res, next) {
  if (req.method !== "GET") return next()
  const json = res.json.bind(res)
  res.json = (body) => {
    withoutWithdrawn(database(req.scope), body).then((visible) => {
      if (visible.variant !== null) return json(visible)
      res.status(404)
      json({ type: MedusaError.Types.NOT_FOUND, message: `Variant with id: ${body.variant.id} was not found` })
    }, next)
    return res
  }
  next()
}

async function withoutWithdrawn(db, body) {
  const ids = new Set()
  walk(body, (variants) => variants.forEach((variant) => ids.add(variant?.id)))
  const rows = await withdrawn(db, [...ids].filter(Boolean))
  const hidden = new Set(rows.map((row) => row.id))
  if (!hidden.size) return body
  return walk(body, (variants) => variants.filter((variant) => !hidden.has(variant?.id)))
}

/** A copy in which every list of variants is what `change` makes of it; one variant alone: itself or null. */
function walk(value, change) {
  if (Array.isArray(value)) return value.map((one) => walk(one, change))
  if (value === null || typeof value !== "object" || value.constructor !== Object) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      if (name === "variants" && Array.isArray(inner)) return [name, walk(change(inner) ?? inner, change)]
      if (name === "variant" && inner) return [name, walk((change([inner]) ?? [inner])[0] ?? null, change)]
      return [name, walk(inner, change)]
    })
  )
}

function withdrawn(db, ids) {
  return db("product_variant")
    .select("id")
    .whereIn("id", ids)
    .whereRaw("metadata -> 'erp' ->> 'withdrawn' = 'true'")
}

/** Refuses what a visitor would put into a cart but cannot buy. */
async function onlyBuyable(req, _res, next) {
  const given = [...(Array.isArray(req.body?.items) ? req.body.items : []), req.body ?? {}]
  await refuse(database(req.scope), given.map((item) => item?.variant_id).filter((id) => typeof id === "string"))
  next()
}

/** The same for a cart that is about to become an order. */
async function cartIsBuyable(scope, cart) {
  const db = database(scope)
  const items = await db("cart_line_item").where({ cart_id: cart, deleted_at: null }).whereNotNull("variant_id")
  await refuse(db, items.map((item) => item.variant_id))
}

async function refuse(db, ids) {
  if (!ids.length) return
  const gone = await db("product_variant as v")
    .join("product as p", "p.id", "v.product_id")
    .whereIn("v.id", ids)
    .whereRaw("(v.metadata -> 'erp' ->> 'withdrawn' = 'true' or p.status <> 'published')")
    .select("v.sku", "p.title")
  if (!gone.length) return
  const names = gone.map(({ sku, title }) => `${title} (${sku})`).join(", ")
  throw new MedusaError(MedusaError.Types.INVALID_DATA, `No longer sold: ${names}. Take it out of the cart.`)
}

module.exports = { hideWithdrawn, onlyBuyable, cartIsBuyable }

const { ContainerRegistrationKeys, MedusaError, generateEntityId } = require("@medusajs/framework/utils")
const { refreshCartItemsWorkflow } = require("@medusajs/medusa/core-flows")
const { database } = require("./database")
const { cartIsBuyable } = require("./withdrawn")

/**
 * A cart is a customer's only by login. Stock Medusa gives a cart whose visitor types a registered e-mail to that
 * customer, with his groups and contract prices; here the cart becomes the guest's of that e-mail instead.
 */
async function newCart(req, _res, next) {
  if (req.method !== "POST" || req.path !== "/") return next()
  const buyer = req.auth_context?.actor_id
  if (buyer) {
    const account = await activeAccount(database(req.scope), buyer)
    if (account && req.body) req.body.metadata = { ...req.body.metadata, erp_account: account }
  } else {
    const guest = await guestOf(database(req.scope), req.body?.email)
    // the route takes the cart's customer from here; nothing else looks at it after this point
    if (guest) req.auth_context = { actor_id: guest, actor_type: "customer" }
  }
  next()
}

/**
 * Before anything is done with a cart: a buyer's cart is served to that buyer only, it is priced for the account he
 * buys for now and says so in its metadata (erp_account); a cart without a customer gets the guest of its new e-mail.
 */
async function knownCart(req, _res, next) {
  const db = database(req.scope)
  const cart = await cartWithLogin(db, req.params.id)
  if (cart?.is_buyer && cart.customer_id !== req.auth_context?.actor_id) {
    throw new MedusaError(MedusaError.Types.UNAUTHORIZED, "Log in to see this cart")
  }
  if (!cart || cart.completed_at) return next()
  if (!cart.customer_id && req.method === "POST") {
    const guest = await guestOf(db, req.body?.email)
    if (guest) await db("cart").where({ id: cart.id }).whereNull("customer_id").update({ customer_id: guest })
  }
  if (cart.marked !== cart.active_code) await priceAnew(req.scope, cart)
  next()
}

/** The mark comes last: a cart that cannot be priced (an article is gone) can be changed, but mayComplete refuses it. */
async function priceAnew(scope, cart) {
  const db = database(scope)
  try {
    await refreshCartItemsWorkflow(scope).run({ input: { cart_id: cart.id, force_refresh: true } })
  } catch (error) {
    const log = scope.resolve(ContainerRegistrationKeys.LOGGER)
    return log.warn(`cart ${cart.id} cannot be priced for another account: ${error.message}`)
  }
  await db.raw(
    `update cart set metadata = coalesce(metadata, '{}') - 'erp_account'
       || jsonb_strip_nulls(jsonb_build_object('erp_account', ?::text)) where id = ?`,
    [cart.active_code, cart.id]
  )
}

/** The last wall before an order, also for carts that a payment provider's call completes (workflows/complete-cart.js). */
async function mayComplete(scope, cartId) {
  const cart = await cartWithLogin(database(scope), cartId)
  if (!cart || cart.completed_at) return
  await cartIsBuyable(scope, cartId)
  if (cart.open === false || cart.marked !== cart.active_code) {
    throw new MedusaError(MedusaError.Types.NOT_ALLOWED, "The account of this cart has changed: open the cart again")
  }
}

function cartWithLogin(db, id) {
  return db("cart as c")
    .leftJoin("erp_login as l", "l.customer_id", "c.customer_id")
    .where("c.id", id)
    .first(
      "c.id", "c.customer_id", "c.completed_at", "l.open", "l.active_code",
      db.raw("l.customer_id is not null as is_buyer"), db.raw("c.metadata ->> 'erp_account' as marked")
    )
}

async function activeAccount(db, customer) {
  return (await db("erp_login").where({ customer_id: customer }).first("active_code"))?.active_code
}

/** The guest (customer without login) of an e-mail, made if need be; nothing for what is not an e-mail. */
async function guestOf(db, email) {
  if (typeof email !== "string" || !/^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(email)) return undefined
  const guest = { email: email.toLowerCase(), has_account: false }
  const id = generateEntityId(undefined, "cus")
  await db.raw(
    `insert into customer (id, email, has_account) values (?, ?, false)
     on conflict (email, has_account) where deleted_at is null do nothing`,
    [id, guest.email]
  )
  return (await db("customer").where(guest).whereNull("deleted_at").first("id")).id
}

module.exports = { newCart, knownCart, mayComplete }

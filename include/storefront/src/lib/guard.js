const { ContainerRegistrationKeys, MedusaError } = require("@medusajs/framework/utils")
const { getAuthContextFromJwtToken } = require("@medusajs/framework/http")
const { database } = require("./database")

/**
 * A token or session of a buyer counts only while his login is open and is the login the token was made for. Any other
 * is treated as if it had expired: the request goes on without it.
 */
async function currentLogin(req, _res, next) {
  const contexts = [req.session?.auth_context, tokenOf(req)]
  const claimed = contexts.find((context) => context?.actor_type === "customer" && context.actor_id)
  if (claimed) {
    const { rows: [login] } = await database(req.scope).raw(
      `select l.open and exists (
         select from auth_identity i where i.id = ? and i.app_metadata ->> 'customer_id' = l.customer_id) as current
       from erp_login l where l.customer_id = ?`,
      [claimed.auth_identity_id ?? "", claimed.actor_id]
    )
    if (login && !login.current) {
      delete req.auth_context
      delete req.headers.authorization
      delete req.session?.auth_context
    }
  }
  next()
}

function tokenOf(req) {
  const { http } = req.scope.resolve(ContainerRegistrationKeys.CONFIG_MODULE).projectConfig
  const keys = [http.jwtPublicKey, http.jwtVerifyOptions ?? http.jwtOptions]
  return getAuthContextFromJwtToken(req.headers.authorization, http.jwtSecret, ["bearer"], ["customer"], ...keys)
}

/**
 * What the shopper sends as erp_* metadata, at any depth, is dropped: these names are the server's. So is metadata: null,
 * which would take them away; a key of his own goes by "".
 */
function noForgedMetadata(req, _res, next) {
  const clean = (value, isMetadata) => {
    if (value === null || typeof value !== "object") return
    for (const key of Object.keys(value)) {
      if (isMetadata ? key.startsWith("erp_") : key === "metadata" && value[key] === null) delete value[key]
      else clean(value[key], isMetadata || key === "metadata")
    }
  }
  clean(req.body, false)
  next()
}

/** Base prices with their rules are not for visitors; calculated_price is. */
function noRawPrices(req, _res, next) {
  const hidden = /(^|[^a-z_])(prices|price_set|price_rules)\b/.test(JSON.stringify(req.query.fields ?? ""))
  next(hidden ? new MedusaError(MedusaError.Types.INVALID_DATA, "Requested fields are not available") : undefined)
}

/**
 * Buyers' e-mails are kept in lower case, and Medusa compares them by the letter: any spelling is taken. A closed login
 * is answered like a wrong password.
 */
async function buyersLogin(req, _res, next) {
  for (const field of ["email", "identifier"]) {
    const given = req.body?.[field]
    if (typeof given !== "string") continue
    const login = await database(req.scope)("customer as c")
      .join("erp_login as l", "l.customer_id", "c.id")
      .where({ "c.email": given.trim().toLowerCase(), "c.has_account": true, "c.deleted_at": null })
      .first("c.email", "l.open")
    if (!login) continue
    if (field === "email" && !login.open) {
      throw new MedusaError(MedusaError.Types.UNAUTHORIZED, "Invalid email or password")
    }
    req.body[field] = login.email
  }
  next()
}

module.exports = { currentLogin, noForgedMetadata, noRawPrices, buyersLogin }

const { MedusaError } = require("@medusajs/framework/utils")
const { lock } = require("./accounts")
const { database } = require("./database")
const { settle } = require("./settle")

/** The accounts a customer is a buyer of, as the ERP says; `active` is the one he buys for now. */
async function accountsOf(scope, customer) {
  const rows = await database(scope)("erp_member as m")
    .join("erp_account as a", "a.code", "m.code")
    .join("erp_login as l", "l.customer_id", "m.customer_id")
    .where("m.customer_id", customer)
    .orderBy("a.code")
    .select("a.code", "a.status", "a.data", "l.active_code")
  return rows.map(({ code, status, data, active_code }) => ({
    code,
    name: data.name,
    status,
    active: code === active_code,
    credit_hold: data.credit_hold,
    tax_exempt: data.tax_exempt,
    terms: data.terms,
    currency: data.currency,
  }))
}

/** Group, company and addresses change in one transaction; his carts follow when they are next touched (lib/carts.js). */
async function buyFor(scope, customer, code) {
  await database(scope).transaction(async (trx) => {
    await lock(trx)
    const open = await trx("erp_member as m")
      .join("erp_account as a", "a.code", "m.code")
      .where({ "m.customer_id": customer, "m.code": String(code), "a.status": "active" })
      .first("m.code")
    if (!open) throw new MedusaError(MedusaError.Types.NOT_FOUND, "You have no such account")
    await trx("erp_login").where({ customer_id: customer }).update({ active_code: open.code })
    await settle(trx, [customer])
  })
}

module.exports = { accountsOf, buyFor }

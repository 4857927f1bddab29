const { Modules } = require("@medusajs/framework/utils")
const nodemailer = require("nodemailer")
const { database } = require("../lib/database")

/**
 * Mails the link to set a password, when CROSSDOCK_SMTP (host:port) and CROSSDOCK_SHOP_URL are given. Without them the
 * merchant's own mail provider does it. The token stands behind the #, so no server ever logs it.
 */
module.exports.default = async ({ event: { data }, container }) => {
  if (!process.env.CROSSDOCK_SMTP || data.actor_type !== "customer") return
  const closed = await database(container)("customer as c")
    .join("erp_login as l", "l.customer_id", "c.id")
    .where({ "c.email": data.entity_id, "l.open": false })
    .first("c.id")
  if (closed) return
  const [store] = await container.resolve(Modules.STORE).listStores()
  const [host, port] = process.env.CROSSDOCK_SMTP.split(":")
  await nodemailer.createTransport({ host, port: Number(port) }).sendMail({
    from: { name: store.name, address: "shop@crossdock.example" },
    to: data.entity_id,
    subject: `Set your password for ${store.name}`,
    text: [
      `Set your password within the next 15 minutes:`,
      `${process.env.CROSSDOCK_SHOP_URL}/erp/password#token=${data.token}`,
      `If you did not ask for this, do nothing.`,
    ].join("\n\n"),
  })
}

module.exports.config = { event: "auth.password_reset" }

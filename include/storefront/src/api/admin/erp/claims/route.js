const { database } = require("../../../../lib/guard")
const { page } = require("../../../../lib/page")

const FREE_MAIL = [
  "aol.com", "freenet.de", "gmail.com", "gmx.at", "gmx.de", "gmx.net", "googlemail.com", "hotmail.com", "icloud.com",
  "laposte.net", "libero.it", "live.com", "mail.com", "me.com", "msn.com", "orange.fr", "outlook.com", "outlook.de",
  "proton.me", "protonmail.com", "t-online.de", "web.de", "wp.pl", "yahoo.com", "yahoo.de",
]

/**
 * GET /admin/erp/claims?after=LOGIN&limit=1000 -> {claims: [{login, email, evidence, value}], next: LOGIN | null}
 * Logins the ERP has never named that say something about an account. None of it is proof: a person decides, in the ERP.
 */
module.exports.GET = async (req, res) => {
  const db = database(req.scope)
  const strangers = db("customer as c")
    .leftJoin("erp_login as l", "l.customer_id", "c.id")
    .whereNull("l.customer_id")
    .where({ "c.has_account": true, "c.deleted_at": null })
    .select("c.id", "c.email", "c.company_name", "c.metadata")
    .orderBy("c.id")
  const { rows } = await db.raw(
    `with stranger as (?), domain as (
       select distinct split_part(c.email, '@', 2) as name from erp_member m join customer c on c.id = m.customer_id
     )
     select s.id as login, s.email, e.evidence, e.value, (select max(id) from stranger) as last from stranger s left join lateral (
       select 'company name' as evidence, s.company_name as value
       union all
       select case when key ~* 'tax|vat' then 'tax id' else 'metadata' end, value
       from jsonb_each_text(s.metadata) where key ~* 'tax|vat|account|customer|company'
       union all
       select 'e-mail domain', name from domain where name = split_part(lower(s.email), '@', 2) and not name = any(?)
     ) e on e.value <> '' order by s.id`,
    [page(strangers, "c.id", req.query), FREE_MAIL]
  )
  res.json({
    claims: rows.filter((row) => row.evidence).map(({ login, email, evidence, value }) => ({ login, email, evidence, value })),
    next: rows[0]?.last ?? null,
  })
}

const { database } = require("../../../../lib/database")
const { page } = require("../../../../lib/page")

const FREE_MAIL = [
  "aol.com", "freenet.de", "gmail.com", "gmx.at", "gmx.de", "gmx.net", "googlemail.com", "hotmail.com", "icloud.com",
  "laposte.net", "libero.it", "live.com", "mail.com", "me.com", "msn.com", "orange.fr", "outlook.com", "outlook.de",
  "proton.me", "protonmail.com", "t-online.de", "web.de", "wp.pl", "yahoo.com", "yahoo.de",
]

/**
 * GET /admin/erp/claims?after=LOGIN&limit=1000 -> {claims: [{login, email, evidence, value}], next: LOGIN | null}
 * Logins (`limit` counts them) the ERP has never named that say something about an account, and guests who ordered
 * with a buyer's e-mail (guest order; the value is the account's number, or the numbers). None of it is proof: a person decides, in the
 * ERP.
 */
module.exports.GET = async (req, res) => {
  const { after, limit } = page(req.query)
  const { rows: claims } = await database(req.scope).raw(
    `with domain as (
       select distinct split_part(c.email, '@', 2) as name from erp_member m join customer c on c.id = m.customer_id
     ), claim as (
       select c.id as login, c.email, e.evidence, e.value, dense_rank() over (order by c.id) as nth
       from customer c left join erp_login l on l.customer_id = c.id cross join lateral (
         select 'company name' as evidence, c.company_name as value where c.has_account
         union all
         select case when key ~* 'tax|vat' then 'tax id' else 'metadata' end, value
         from jsonb_each_text(c.metadata) where c.has_account and key ~* 'tax|vat|account|customer|company'
         union all
         select 'e-mail domain', name from domain
         where c.has_account and name = split_part(lower(c.email), '@', 2) and not name = any(?)
         union all
         select 'guest order', string_agg(m.code, ', ' order by m.code)
         from customer b join erp_member m on m.customer_id = b.id
         where not c.has_account and b.has_account and b.deleted_at is null and lower(b.email) = lower(c.email)
           and exists (
             select from "order" o where o.customer_id = c.id and not o.is_draft_order and o.deleted_at is null)
       ) e
       where l.customer_id is null and c.deleted_at is null and e.value <> '' and c.id > ?
     )
     select login, email, evidence, value from claim where nth <= ? order by login`,
    [FREE_MAIL, after, limit]
  )
  const logins = new Set(claims.map((claim) => claim.login))
  res.json({ claims, next: logins.size < limit ? null : claims.at(-1).login })
}

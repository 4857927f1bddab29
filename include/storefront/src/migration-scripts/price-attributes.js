const { ContainerRegistrationKeys } = require("@medusajs/framework/utils")

/**
 * Medusa's pricing keeps in memory which attributes occur in rules, and leaves all others out of what it knows of a cart
 * (2.18.0, repositories/pricing.js). It reads them once, deleted rules too, and hears of new ones only in the process
 * that writes them through its module: a buyer's page would show his price, his cart would charge the guests'. So the
 * attributes that lib/price-lists.js uses occur from the beginning, at a price list that is deleted.
 */
module.exports = {
  __esModule: true,
  default: async ({ container }) => {
    const db = container.resolve(ContainerRegistrationKeys.PG_CONNECTION)
    await db.raw(
      `insert into price_list (id, title, description, deleted_at) values ('plist_erp', 'erp', 'attributes in use', now())
       on conflict (id) do nothing`
    )
    await db.raw(
      `insert into price_list_rule (id, price_list_id, attribute, value, deleted_at)
       values ('prule_erp_1', 'plist_erp', 'customer.groups.id', '[]', now()),
              ('prule_erp_2', 'plist_erp', 'region_id', '[]', now())
       on conflict (id) do nothing`
    )
  },
}

const { Migration } = require("@medusajs/framework/mikro-orm/migrations")

/**
 * erp_price_list:   a list of the ERP and the price list of Medusa that it is; what lib/price-lists.js makes of it.
 * erp_price_member: the lists an account sees.
 */
class Migration20261126100000 extends Migration {
  async up() {
    this.addSql(`create table if not exists erp_price_list (
      code text collate "C" primary key,
      list_id text not null unique,
      audience text not null check (audience in ('everybody', 'accounts')),
      rank integer not null,
      tax_inclusive boolean not null,
      fingerprint text not null
    )`)
    this.addSql(`create table if not exists erp_price_member (
      account text collate "C" primary key references erp_account (code),
      lists text[] not null,
      fingerprint text not null
    )`)
    this.addSql(`create index if not exists erp_price_member_lists on erp_price_member using gin (lists)`)
  }

  async down() {
    this.addSql(`drop table if exists erp_price_member, erp_price_list`)
  }
}

module.exports = { Migration20261126100000 }

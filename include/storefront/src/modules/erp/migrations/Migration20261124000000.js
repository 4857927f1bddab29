const { Migration } = require("@medusajs/framework/mikro-orm/migrations")

/**
 * erp_account: an account of the ERP, its customer group, and what the ERP last said of it.
 * erp_member:  who may buy for which account, as the ERP says.
 * erp_login:   what follows from that for one customer: may he log in, and for which account does he buy now.
 *              A customer keeps his row when he is dismissed: he is known, and no claimant.
 */
class Migration20261124000000 extends Migration {
  async up() {
    this.addSql(`create table if not exists erp_account (
      code text collate "C" primary key,
      group_id text not null unique,
      status text not null check (status in ('active', 'blocked', 'archived')),
      fingerprint text not null,
      data jsonb not null,
      updated_at timestamptz not null default now()
    )`)
    this.addSql(`create table if not exists erp_member (
      code text collate "C" not null references erp_account (code),
      customer_id text not null,
      data jsonb not null,
      primary key (code, customer_id)
    )`)
    this.addSql(`create index if not exists erp_member_customer on erp_member (customer_id)`)
    this.addSql(`create table if not exists erp_login (
      customer_id text primary key,
      open boolean not null,
      active_code text collate "C" references erp_account (code)
    )`)
  }

  async down() {
    this.addSql(`drop table if exists erp_login, erp_member, erp_account`)
  }
}

module.exports = { Migration20261124000000 }

const { Migration } = require("@medusajs/framework/mikro-orm/migrations")

/**
 * erp_document:      an order, invoice or credit note of the ERP, as the buyers of its account see it.
 * erp_document_wish: a buyer waits for the printed document; of the fingerprint it had then.
 * erp_document_file: the printed document, of the fingerprint it was asked for; without content: the ERP has none.
 */
class Migration20261126170000 extends Migration {
  async up() {
    this.addSql(`create table if not exists erp_document (
      id text primary key,
      flow text not null check (flow in ('offline_orders', 'invoices')),
      key text collate "C" not null,
      number text not null,
      kind text not null check (kind in ('order', 'invoice', 'credit_note')),
      account text collate "C" not null references erp_account (code),
      made_on date not null,
      due_on date,
      currency text not null,
      net numeric not null,
      tax numeric not null,
      total numeric not null,
      open numeric,
      status text not null,
      reference text not null,
      belongs_to jsonb not null,
      lines jsonb not null,
      parcels jsonb not null,
      file text,
      words text not null,
      fingerprint text not null,
      changed_at timestamptz not null,
      removed boolean not null default false,
      unique (flow, key)
    )`)
    this.addSql(`create index if not exists erp_document_account on erp_document (account, made_on desc)`)
    this.addSql(`create table if not exists erp_document_wish (
      id bigint generated always as identity primary key,
      document_id text not null unique references erp_document (id),
      fingerprint text not null,
      wished_at timestamptz not null default now()
    )`)
    this.addSql(`create table if not exists erp_document_file (
      document_id text primary key references erp_document (id),
      fingerprint text not null,
      content bytea,
      delivered_at timestamptz not null default now()
    )`)
  }

  async down() {
    this.addSql(`drop table if exists erp_document_file, erp_document_wish, erp_document`)
  }
}

module.exports = { Migration20261126170000 }

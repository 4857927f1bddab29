const { Migration } = require("@medusajs/framework/mikro-orm/migrations")

/** erp_image: what was uploaded for the ERP, by the SHA-256 of its bytes, so that the same picture is kept once. */
class Migration20261124170000 extends Migration {
  async up() {
    this.addSql(`create table if not exists erp_image (digest text primary key, url text not null)`)
  }

  async down() {
    this.addSql(`drop table if exists erp_image`)
  }
}

module.exports = { Migration20261124170000 }

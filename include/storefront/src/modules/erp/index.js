const { Module } = require("@medusajs/framework/utils")

/** The module exists for its tables (see migrations); what is done with them is in src/lib. */
class ErpService {}

module.exports = { __esModule: true, default: Module("erp", { service: ErpService }) }
